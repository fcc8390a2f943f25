#include "core/checkpoint/generation_config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

template <typename T>
absl::Status Read(const json::value& root, absl::string_view name, absl::string_view where,
                  std::optional<T>& field) {
  KEEL_ASSIGN_OR_RETURN(field, FindJson<T>(root, absl::StrCat("/", name), where));
  return absl::OkStatus();
}

// One id or a list of them; leaves `ids` alone if there is none.
absl::Status ReadIds(const json::value& root, absl::string_view pointer, absl::string_view where,
                     std::vector<int64_t>& ids) {
  const json::value* value = FindJsonValue(root, pointer);
  if (value == nullptr || value->is_null()) return absl::OkStatus();
  if (value->is_array()) {
    KEEL_ASSIGN_OR_RETURN(ids, GetJson<std::vector<int64_t>>(root, pointer, where));
    return absl::OkStatus();
  }
  if (value->is_int64()) {
    ids = {value->get_int64()};
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", pointer.substr(1), " is ",
                                                 JsonSnippet(*value), " (", JsonKindName(*value),
                                                 "), expected an integer or a list of integers"));
}

}  // namespace

absl::StatusOr<GenerationConfig> ParseGenerationConfig(const json::value& root,
                                                       absl::string_view where) {
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is ", JsonKindName(root), ", expected an object"));
  }
  GenerationConfig config;
  KEEL_RETURN_IF_ERROR(Read(root, "do_sample", where, config.do_sample));
  KEEL_RETURN_IF_ERROR(Read(root, "temperature", where, config.temperature));
  KEEL_RETURN_IF_ERROR(Read(root, "top_k", where, config.top_k));
  KEEL_RETURN_IF_ERROR(Read(root, "top_p", where, config.top_p));
  KEEL_RETURN_IF_ERROR(Read(root, "min_p", where, config.min_p));
  KEEL_RETURN_IF_ERROR(Read(root, "typical_p", where, config.typical_p));
  KEEL_RETURN_IF_ERROR(Read(root, "repetition_penalty", where, config.repetition_penalty));
  KEEL_RETURN_IF_ERROR(Read(root, "max_new_tokens", where, config.max_new_tokens));
  KEEL_RETURN_IF_ERROR(Read(root, "bos_token_id", where, config.bos_token_id));
  KEEL_RETURN_IF_ERROR(Read(root, "pad_token_id", where, config.pad_token_id));
  KEEL_RETURN_IF_ERROR(ReadIds(root, "/eos_token_id", where, config.eos_token_ids));
  return config;
}

absl::Status FillTokenIdsFromModelConfig(const json::value& model_config, absl::string_view where,
                                         GenerationConfig& generation) {
  for (const absl::string_view part : {"", "/text_config"}) {
    const auto fill = [&](absl::string_view name, std::optional<int64_t>& id) -> absl::Status {
      if (id.has_value()) return absl::OkStatus();
      KEEL_ASSIGN_OR_RETURN(id,
                            FindJson<int64_t>(model_config, absl::StrCat(part, "/", name), where));
      return absl::OkStatus();
    };
    KEEL_RETURN_IF_ERROR(fill("bos_token_id", generation.bos_token_id));
    KEEL_RETURN_IF_ERROR(fill("pad_token_id", generation.pad_token_id));
    if (generation.eos_token_ids.empty()) {
      KEEL_RETURN_IF_ERROR(ReadIds(model_config, absl::StrCat(part, "/eos_token_id"), where,
                                   generation.eos_token_ids));
    }
  }
  return absl::OkStatus();
}

}  // namespace keel
