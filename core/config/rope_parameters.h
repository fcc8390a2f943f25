// Rotary frequencies from config.json, by the formulas of transformers' modeling_rope_utils.py.
#ifndef KEEL_CORE_CONFIG_ROPE_PARAMETERS_H_
#define KEEL_CORE_CONFIG_ROPE_PARAMETERS_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// Angle of pair i at position p is p * inv_freq[i]; cos and sin are multiplied by attention_factor.
struct RopeParameters {
  std::string rope_type = "default";
  double theta = 10000;
  int64_t rotary_size = 0;
  double attention_factor = 1;
  std::vector<double> inv_freq;       // [rotary_size / 2]
  std::vector<double> long_inv_freq;  // longrope: for sequences beyond original_max_positions
  int64_t original_max_positions = 0;
  double dynamic_factor = 0;  // dynamic: inv_freq is recomputed for longer sequences
};

// What is asked for: keel_rope_desc without its layout.
struct RopeQuery {
  int64_t head_dim = 0;
  int64_t rotary_size = 0;           // 0: head_dim * partial_rotary_factor
  double theta = 10000;              // the family's default
  double partial_rotary_factor = 1;  // the family's default
  // Path of the parameters in the config, "rope_parameters" or
  // "text_config/rope_parameters/full_attention"; where it is absent the old keys beside it serve:
  // rope_theta, rope_scaling, rope_local_base_freq. "": theta alone.
  std::string params = "rope_parameters";
};

// Types: default, linear, dynamic, llama3, yarn, longrope, proportional, mrope (= default). Another
// type, a parameter that no type has, or one that cannot be right is an error that names the key.
absl::StatusOr<RopeParameters> ResolveRope(const RopeQuery& query,
                                           const boost::json::object& config,
                                           absl::string_view where);

// The longest text that the scaling allows: `max_positions` (the config's max_position_embeddings),
// or more with yarn (original_max_position_embeddings times factor) and dynamic
// (max_position_embeddings times factor), as in vLLM.
absl::StatusOr<int64_t> ExtendedPositions(const boost::json::object& config, int64_t max_positions,
                                          absl::string_view where);

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_ROPE_PARAMETERS_H_
