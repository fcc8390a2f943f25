// generation_config.json: what a checkpoint's authors suggest for sampling, and its special token
// ids.
#ifndef KEEL_CORE_CHECKPOINT_GENERATION_CONFIG_H_
#define KEEL_CORE_CHECKPOINT_GENERATION_CONFIG_H_

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// Unset (nullopt, no ids) means that the file does not say: the default is the reader's, for
// instance transformers' top_k is 50 where a server's is off. Values are as written, ranges are the
// sampler's to check.
struct GenerationConfig {
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<int64_t> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> typical_p;
  std::optional<double> repetition_penalty;
  std::optional<int64_t> max_new_tokens;
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;  // one id or a list in the file
};

// Fields that Keel does not use are ignored; one of a wrong type is an error:
//   generation_config.json: temperature is "hot" (a string), expected a number
absl::StatusOr<GenerationConfig> ParseGenerationConfig(const boost::json::value& json,
                                                       absl::string_view where);

// Fills token ids that are unset from config.json (top level, else text_config), as transformers
// does.
absl::Status FillTokenIdsFromModelConfig(const boost::json::value& model_config,
                                         absl::string_view where, GenerationConfig& generation);

}  // namespace keel

#endif  // KEEL_CORE_CHECKPOINT_GENERATION_CONFIG_H_
