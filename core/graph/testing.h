// A two-layer Llama-shaped model class written straight on the ABI, for tests of recording and of
// what follows it.
#ifndef KEEL_CORE_GRAPH_TESTING_H_
#define KEEL_CORE_GRAPH_TESTING_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"
#include "core/graph/record_model.h"

namespace keel::testing {

// What a test may change about the model. Hooks run inside forward or create; they are plain
// functions, as the ABI needs.
struct TinyModel {
  const char* o_proj_style = "rowwise";
  const char* extra_pattern = nullptr;  // one more colwise pattern of the tp plan
  std::vector<std::pair<const char*, const char*>> extra_rules = {};  // of any style
  keel_tensor (*after_mlp)(keel_run* run, keel_tensor x) = nullptr;
  keel_tensor (*after_layer)(keel_run* run, keel_tensor x, int layer) = nullptr;  // likewise
  decltype(keel_model_class::logits) logits = nullptr;
  const char* model_type = "tiny";
  void (*declare)(keel_build* build) = nullptr;  // more objects, the first kFirstExtraObject
  std::vector<std::pair<const char*, const char*>> ep_rules = {};
  struct PpChild {
    const char* child;
    std::vector<const char*> inputs, outputs;
  };
  std::vector<PpChild> pp_plan = {};
  bool share_kv = false;  // the second layer attends to the keys and values of the first
  keel_tensor (*attention_args)(keel_run* run) = nullptr;  // gives alibi_slopes
  // Gives query_distance_bias, by the queries [N, heads, size].
  keel_tensor (*query_bias)(keel_run* run, keel_tensor q) = nullptr;
  // Gives the argument groups, of forward's input of that name, which the model takes then.
  keel_tensor (*groups)(keel_run* run, keel_tensor input) = nullptr;
  std::vector<const keel_kernel_class*> kernels = {};  // that `declare` may name
};

// The plan that a model of its shape has in transformers.
std::vector<TinyModel::PpChild> LlamasPpPlan();

inline constexpr keel_object kFirstExtraObject = 23;

// hidden 64, 4 heads and 2 key-value heads of 16, intermediate 96, vocabulary 128.
absl::StatusOr<RecordedModel> RecordTinyModel(const TinyModel& model = {});

}  // namespace keel::testing
#endif  // KEEL_CORE_GRAPH_TESTING_H_
