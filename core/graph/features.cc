#include "core/graph/features.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/config/model_spec.pb.h"
#include "core/graph/op_table.h"
#include "core/graph/recurrences.h"

namespace keel {
namespace {

std::vector<std::string> MakeFeatures() {
  std::vector<std::string> out;
  for (const OpRow& row : OpTable()) out.push_back(absl::StrCat("op.", row.name));
  for (int op = 0; op < proto::ModelSpec::Rename::Op_ARRAYSIZE; ++op)
    out.push_back(absl::StrCat("rename.", op));
  for (const RecurrenceRow& row : Recurrences()) out.push_back(absl::StrCat("recur.", row.kind));
  for (const uint32_t rule : {KEEL_MERGE_ROWS, KEEL_MERGE_BORDERS, KEEL_MERGE_INDICES})
    out.push_back(absl::StrCat("merge.", rule));
  for (const uint32_t scoring : {KEEL_MOE_SOFTMAX, KEEL_MOE_SIGMOID, KEEL_MOE_TOPK_SOFTMAX})
    out.push_back(absl::StrCat("moe.scoring.", scoring));
  for (const char* name : {"alibi_slopes", "distance_bias", "groups", "key_distance_bias",
                           "query_distance_bias", "segments", "sinks"})
    out.push_back(absl::StrCat("attention.arg.", name));
  for (const char* input : {"features", "groups", "input_ids", "token_type_ids"})
    out.push_back(absl::StrCat("forward.", input));
  std::sort(out.begin(), out.end());
  return out;
}

int32_t Has(const char* feature) { return feature != nullptr && HasFeature(feature) ? 1 : 0; }

}  // namespace

const std::vector<std::string>& Features() {
  static const auto* features = new std::vector<std::string>(MakeFeatures());
  return *features;
}

bool HasFeature(absl::string_view feature) {
  return std::binary_search(Features().begin(), Features().end(), feature);
}

const keel_features_api& FeaturesApi() {
  static const keel_features_api api = {sizeof(keel_features_api), 0, Has};
  return api;
}

}  // namespace keel
