#include "core/config/known_keys.h"

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

struct Range {
  const char* key;
  int64_t low, high;
};

constexpr int64_t kMaxSize = int64_t{1} << 30;
constexpr int64_t kMaxLayers = 4096;  // thirty times the deepest known
constexpr int64_t kMaxHeads = 1 << 16;

constexpr Range kRanges[] = {
    {"num_hidden_layers", 1, kMaxLayers},
    {"n_layer", 1, kMaxLayers},
    {"n_layers", 1, kMaxLayers},
    {"hidden_size", 1, kMaxSize},
    {"n_embd", 1, kMaxSize},
    {"intermediate_size", 0, kMaxSize},
    {"vocab_size", 1, kMaxSize},
    {"num_attention_heads", 1, kMaxHeads},
    {"n_head", 1, kMaxHeads},
    {"num_key_value_heads", 1, kMaxHeads},
    {"head_dim", 1, kMaxHeads},
    {"max_position_embeddings", 1, kMaxSize},
    {"n_positions", 1, kMaxSize},
};

// The integer at `key`; nothing where there is none, whatever else is there.
std::optional<int64_t> IntAt(const json::object& config, const char* key) {
  const json::value* value = config.if_contains(key);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

absl::Status CheckRange(const json::object& config, const Range& range, absl::string_view where) {
  const json::value* value = config.if_contains(range.key);
  if (value == nullptr || !value->is_number()) return absl::OkStatus();  // a list, one a layer
  const double number = value->to_number<double>();
  if (number >= static_cast<double>(range.low) && number <= static_cast<double>(range.high))
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, range.key, " is ", JsonSnippet(*value),
                                                 ", expected ", range.low, " to ", range.high));
}

absl::Status CheckHeads(const json::object& config, absl::string_view where) {
  const auto hidden = IntAt(config, "hidden_size"), heads = IntAt(config, "num_attention_heads"),
             kv_heads = IntAt(config, "num_key_value_heads"), head_dim = IntAt(config, "head_dim");
  if (heads.has_value() && kv_heads.has_value() && *heads % *kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(where, "num_attention_heads is ", *heads,
                                                   ", which num_key_value_heads (", *kv_heads,
                                                   ") does not divide"));
  }
  if (hidden.has_value() && heads.has_value() && !head_dim.has_value() && *hidden < *heads) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, "hidden_size is ", *hidden, ", expected at least num_attention_heads (",
                     *heads, "): without head_dim it is divided among them"));
  }
  return absl::OkStatus();
}

absl::Status CheckObject(const json::object& config, absl::string_view where) {
  for (const Range& range : kRanges) KEEL_RETURN_IF_ERROR(CheckRange(config, range, where));
  return CheckHeads(config, where);
}

}  // namespace

absl::Status CheckKnownKeys(const json::value& config, absl::string_view where) {
  const json::object* root = config.if_object();
  if (root == nullptr) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(CheckObject(*root, absl::StrCat(where, ": ")));
  const json::value* text = root->if_contains("text_config");
  if (text == nullptr || !text->is_object()) return absl::OkStatus();
  return CheckObject(text->get_object(), absl::StrCat(where, ": text_config."));
}

}  // namespace keel
