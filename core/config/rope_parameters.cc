#include "core/config/rope_parameters.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

bool IsPositive(double value) { return value > 0 && std::isfinite(value); }

// Reads numbers out of `scaling` first, then out of `parent` (the object that holds it).
class Reader {
 public:
  Reader(const json::object* scaling, const json::object& parent, absl::string_view where)
      : scaling_(scaling), parent_(parent), where_(where) {}

  absl::StatusOr<std::optional<double>> Number(absl::string_view key) const {
    const json::value* value = Find(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (value->is_number()) return value->to_number<double>();
    return Wrong(key, *value, "a number");
  }

  absl::StatusOr<double> Number(absl::string_view key, double dflt) const {
    KEEL_ASSIGN_OR_RETURN(std::optional<double> value, Number(key));
    return value.value_or(dflt);
  }

  // A number above 0, or `dflt`.
  absl::StatusOr<double> Positive(absl::string_view key, double dflt) const {
    KEEL_ASSIGN_OR_RETURN(const double value, Number(key, dflt));
    const bool is_given = Number(key)->has_value();
    if (IsPositive(value) || !is_given) return value;
    return Wrong(key, *Find(key), "a number above 0");
  }

  absl::StatusOr<double> Required(absl::string_view key, absl::string_view type) const {
    KEEL_ASSIGN_OR_RETURN(std::optional<double> value, Number(key));
    if (value.has_value()) {
      return IsPositive(*value) ? absl::StatusOr<double>(*value)
                                : Wrong(key, *Find(key), "a number above 0");
    }
    return absl::InvalidArgumentError(absl::StrCat(where_, ": rope_parameters.", key,
                                                   " is missing, expected a number above 0: "
                                                   "rope_type is ",
                                                   type));
  }

  absl::StatusOr<std::vector<double>> Numbers(absl::string_view key, size_t size) const {
    const json::value* value = Find(key);
    std::vector<double> out;
    if (value != nullptr && value->is_array()) {
      for (const json::value& item : value->get_array()) {
        if (!item.is_number() || !IsPositive(item.to_number<double>()))
          return Wrong(key, item, "a number above 0");
        out.push_back(item.to_number<double>());
      }
    }
    if (out.size() == size) return out;
    return absl::InvalidArgumentError(absl::StrCat(where_, ": rope_parameters.", key, " has ",
                                                   out.size(), " numbers, expected ", size,
                                                   " (half the rotary size)"));
  }

  absl::StatusOr<std::string> Type() const {
    if (scaling_ == nullptr) return std::string("default");
    for (const char* key : {"rope_type", "type"}) {
      const json::value* value = scaling_->if_contains(key);
      if (value == nullptr || value->is_null()) continue;
      if (!value->is_string()) return Wrong(key, *value, "a string");
      return std::string(value->get_string());
    }
    return std::string("default");
  }

  bool Truncate() const {
    const json::value* value = Find("truncate");
    return value == nullptr || !value->is_bool() || value->get_bool();
  }

  // Refuses what no rope type has: a scaling that is not applied gives other text.
  absl::Status CheckKeys() const {
    if (scaling_ == nullptr) return absl::OkStatus();
    for (const auto& [key, value] : *scaling_) {
      const auto is_key = [key = key](const char* known) { return key == known; };
      if (std::any_of(std::begin(kKeys), std::end(kKeys), is_key)) continue;
      return absl::UnimplementedError(absl::StrCat(
          where_, ": rope_parameters.", JsonSnippet(json::value(key)), " is ", JsonSnippet(value),
          ", a parameter that is not known; expected some of ", absl::StrJoin(kKeys, ", ")));
    }
    return absl::OkStatus();
  }

  absl::string_view where() const { return where_; }

 private:
  static constexpr const char* kKeys[] = {
      "rope_type",
      "type",
      "rope_theta",
      "partial_rotary_factor",
      "factor",
      "original_max_position_embeddings",
      "max_position_embeddings",
      "low_freq_factor",
      "high_freq_factor",
      "beta_fast",
      "beta_slow",
      "mscale",
      "mscale_all_dim",
      "attention_factor",
      "truncate",
      "short_factor",
      "long_factor",
      "mrope_section",
      "mrope_interleaved",
      "finetuned",  // YaRN's own files: says that the weights were trained so
  };

  const json::value* Find(absl::string_view key) const {
    const std::string_view name(key.data(), key.size());
    const json::value* value = scaling_ == nullptr ? nullptr : scaling_->if_contains(name);
    return value != nullptr ? value : parent_.if_contains(name);
  }

  absl::Status Wrong(absl::string_view key, const json::value& found,
                     absl::string_view expected) const {
    return absl::InvalidArgumentError(absl::StrCat(where_, ": rope_parameters.", key, " is ",
                                                   JsonSnippet(found), ", expected ", expected));
  }

  const json::object* scaling_;
  const json::object& parent_;
  absl::string_view where_;
};

// Null where `key` is absent or null.
absl::StatusOr<const json::object*> FindObject(const json::object& object, absl::string_view key,
                                               absl::string_view where) {
  const json::value* value = object.if_contains(std::string_view(key.data(), key.size()));
  if (value == nullptr || value->is_null()) return nullptr;
  if (value->is_object()) return &value->get_object();
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", key, " is ", JsonSnippet(*value),
                                                 " (", JsonKindName(*value),
                                                 "), expected an object"));
}

std::vector<double> DefaultFrequencies(double theta, int64_t size, int64_t pairs) {
  std::vector<double> out(pairs);
  for (int64_t i = 0; i < pairs; ++i)
    out[i] = std::pow(theta, -2.0 * static_cast<double>(i) / size);
  return out;
}

// "NTK-by-parts" of Llama 3.1: long wavelengths are stretched, short ones kept, the band between
// blended.
absl::Status Llama3(const Reader& reader, RopeParameters& rope) {
  KEEL_ASSIGN_OR_RETURN(const double factor, reader.Required("factor", "llama3"));
  KEEL_ASSIGN_OR_RETURN(const double low, reader.Required("low_freq_factor", "llama3"));
  KEEL_ASSIGN_OR_RETURN(const double high, reader.Required("high_freq_factor", "llama3"));
  KEEL_ASSIGN_OR_RETURN(const double original,
                        reader.Required("original_max_position_embeddings", "llama3"));
  if (!(high > low)) {
    return absl::InvalidArgumentError(absl::StrCat(reader.where(),
                                                   ": rope_parameters.high_freq_factor is ", high,
                                                   ", expected more than low_freq_factor, ", low));
  }
  for (double& f : rope.inv_freq) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < original / high) continue;
    const double smooth = (original / wavelength - low) / (high - low);
    f = wavelength > original / low ? f / factor : (1 - smooth) * f / factor + smooth * f;
  }
  return absl::OkStatus();
}

// YaRN, arXiv:2309.00071.
absl::Status Yarn(const Reader& reader, double max_positions, RopeParameters& rope) {
  KEEL_ASSIGN_OR_RETURN(const double original,
                        reader.Positive("original_max_position_embeddings", max_positions));
  KEEL_ASSIGN_OR_RETURN(const double factor,
                        reader.Positive("factor", original > 0 ? max_positions / original : 1));
  KEEL_ASSIGN_OR_RETURN(const double beta_fast, reader.Positive("beta_fast", 32));
  KEEL_ASSIGN_OR_RETURN(const double beta_slow, reader.Positive("beta_slow", 1));
  KEEL_ASSIGN_OR_RETURN(const std::optional<double> mscale, reader.Number("mscale"));
  KEEL_ASSIGN_OR_RETURN(const std::optional<double> mscale_all, reader.Number("mscale_all_dim"));
  KEEL_ASSIGN_OR_RETURN(const std::optional<double> given, reader.Number("attention_factor"));
  const double d = static_cast<double>(rope.rotary_size);
  const auto correction = [&](double rotations) {
    return d * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
  };
  double low = correction(beta_fast), high = correction(beta_slow);
  if (reader.Truncate()) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope.inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rope.inv_freq[i] = rope.inv_freq[i] / factor * ramp + rope.inv_freq[i] * (1 - ramp);
  }
  const auto scale = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1; };
  if (given.has_value()) {
    rope.attention_factor = *given;
  } else if (mscale.value_or(0) != 0 && mscale_all.value_or(0) != 0) {
    rope.attention_factor = scale(*mscale) / scale(*mscale_all);
  } else {
    rope.attention_factor = scale(1);
  }
  return absl::OkStatus();
}

// LongRoPE, arXiv:2402.13753: one table of factors up to the original length, another beyond it.
absl::Status LongRope(const Reader& reader, const Reader& top, double max_positions,
                      RopeParameters& rope) {
  // Phi-3 files say the original length beside max_position_embeddings, and that one holds.
  KEEL_ASSIGN_OR_RETURN(std::optional<double> original,
                        top.Number("original_max_position_embeddings"));
  if (!original.has_value()) {
    KEEL_ASSIGN_OR_RETURN(original, reader.Number("original_max_position_embeddings"));
  }
  const double orig = original.value_or(max_positions);
  KEEL_ASSIGN_OR_RETURN(double factor,
                        reader.Number("factor", orig > 0 ? max_positions / orig : 1));
  if (top.Number("original_max_position_embeddings").value().has_value())
    factor = max_positions / orig;
  KEEL_ASSIGN_OR_RETURN(const std::optional<double> given, reader.Number("attention_factor"));
  const size_t pairs = rope.inv_freq.size();
  KEEL_ASSIGN_OR_RETURN(const std::vector<double> shorter, reader.Numbers("short_factor", pairs));
  KEEL_ASSIGN_OR_RETURN(const std::vector<double> longer, reader.Numbers("long_factor", pairs));
  rope.long_inv_freq.resize(pairs);
  for (size_t i = 0; i < pairs; ++i) {
    // In f32, as transformers: long positions multiply the last bit.
    const auto period = static_cast<float>(1 / rope.inv_freq[i]);
    rope.inv_freq[i] = 1 / (static_cast<float>(shorter[i]) * period);
    rope.long_inv_freq[i] = 1 / (static_cast<float>(longer[i]) * period);
  }
  rope.original_max_positions = static_cast<int64_t>(orig);
  rope.attention_factor = given.has_value() ? *given
                          : factor <= 1     ? 1.0
                                            : std::sqrt(1 + std::log(factor) / std::log(orig));
  return absl::OkStatus();
}

struct Source {
  const json::object* parent;   // holds rope_theta, max_position_embeddings ...
  const json::object* scaling;  // rope_parameters or rope_scaling; may be null
  bool local = false;           // old Gemma 3 files: rope_local_base_freq if it is there, unscaled
};

// Whether it holds an object a layer type, not parameters of all layers.
bool IsByLayerType(const json::object& parameters) {
  return std::any_of(parameters.begin(), parameters.end(),
                     [](const auto& member) { return member.value().is_object(); });
}

absl::StatusOr<Source> Locate(absl::string_view params, const json::object& config,
                              absl::string_view where) {
  const json::object* parent = &config;
  const std::vector<absl::string_view> parts = absl::StrSplit(params, '/');
  size_t i = 0;
  for (; i < parts.size() && parts[i] != "rope_parameters"; ++i) {
    KEEL_ASSIGN_OR_RETURN(parent, FindObject(*parent, parts[i], where));
    if (parent == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", absl::StrJoin(parts.begin(), parts.begin() + i + 1, "."),
                       " is missing, expected an object that holds rope_parameters"));
    }
  }
  const absl::string_view layer_type = i + 1 < parts.size() ? parts[i + 1] : "";
  KEEL_ASSIGN_OR_RETURN(const json::object* given, FindObject(*parent, "rope_parameters", where));
  if (given != nullptr) {
    if (layer_type.empty()) return Source{parent, given};
    KEEL_ASSIGN_OR_RETURN(const json::object* of_layer, FindObject(*given, layer_type, where));
    if (of_layer == nullptr && !IsByLayerType(*given)) of_layer = given;
    return Source{parent, of_layer};
  }
  if (layer_type == "sliding_attention") return Source{parent, nullptr, true};
  KEEL_ASSIGN_OR_RETURN(given, FindObject(*parent, "rope_scaling", where));
  return Source{parent, given};
}

}  // namespace

absl::StatusOr<RopeParameters> ResolveRope(const RopeQuery& query, const json::object& config,
                                           absl::string_view where) {
  Source source{&config, nullptr};
  if (!query.params.empty()) {
    KEEL_ASSIGN_OR_RETURN(source, Locate(query.params, config, where));
  }
  const Reader reader(source.scaling, *source.parent, where);
  const Reader top(nullptr, *source.parent, where);
  RopeParameters rope;
  rope.theta = query.theta;
  double partial = query.partial_rotary_factor;
  if (source.local) {
    KEEL_ASSIGN_OR_RETURN(rope.theta, reader.Number("rope_local_base_freq", query.theta));
  } else if (!query.params.empty()) {
    KEEL_ASSIGN_OR_RETURN(const double old_theta, reader.Number("rotary_emb_base", query.theta));
    KEEL_ASSIGN_OR_RETURN(rope.theta, reader.Number("rope_theta", old_theta));
    KEEL_ASSIGN_OR_RETURN(const double old_partial, reader.Number("rotary_pct", partial));
    KEEL_ASSIGN_OR_RETURN(partial, reader.Number("partial_rotary_factor", old_partial));
    KEEL_ASSIGN_OR_RETURN(rope.rope_type, reader.Type());
    KEEL_RETURN_IF_ERROR(reader.CheckKeys());
  }
  rope.rotary_size = query.rotary_size > 0
                         ? query.rotary_size
                         : static_cast<int64_t>(static_cast<double>(query.head_dim) * partial);
  if (rope.rotary_size < 2 || rope.rotary_size % 2 != 0 || rope.rotary_size > query.head_dim ||
      !(rope.theta > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": rotary size ", rope.rotary_size, " of head_dim ", query.head_dim,
                     " with rope_theta ", rope.theta,
                     ", expected an even size up to head_dim and a positive theta"));
  }
  rope.inv_freq = DefaultFrequencies(rope.theta, rope.rotary_size, rope.rotary_size / 2);
  KEEL_ASSIGN_OR_RETURN(const double max_positions, top.Number("max_position_embeddings", 0));

  if (rope.rope_type == "su") rope.rope_type = "longrope";  // its name in early Phi-3 files
  if (rope.rope_type == "default" || rope.rope_type == "mrope") return rope;
  if (rope.rope_type == "linear") {
    KEEL_ASSIGN_OR_RETURN(const double factor, reader.Required("factor", "linear"));
    for (double& f : rope.inv_freq) f /= factor;
    return rope;
  }
  if (rope.rope_type == "proportional") {
    KEEL_ASSIGN_OR_RETURN(const double factor, reader.Positive("factor", 1));
    const auto rotated = static_cast<int64_t>(partial * static_cast<double>(query.head_dim / 2));
    rope.rotary_size = query.head_dim;
    rope.inv_freq = DefaultFrequencies(rope.theta, query.head_dim, query.head_dim / 2);
    for (int64_t i = 0; i < query.head_dim / 2; ++i)
      rope.inv_freq[i] = i < rotated ? rope.inv_freq[i] / factor : 0;
    return rope;
  }
  if (rope.rope_type == "dynamic") {
    KEEL_ASSIGN_OR_RETURN(rope.dynamic_factor, reader.Required("factor", "dynamic"));
    rope.original_max_positions = static_cast<int64_t>(max_positions);
    return rope;
  }
  absl::Status status;
  if (rope.rope_type == "llama3") {
    status = Llama3(reader, rope);
  } else if (rope.rope_type == "yarn") {
    status = Yarn(reader, max_positions, rope);
  } else if (rope.rope_type == "longrope") {
    status = LongRope(reader, top, max_positions, rope);
  } else {
    status = absl::UnimplementedError(absl::StrCat(
        where, ": rope_type is '", rope.rope_type,
        "', expected default, linear, dynamic, llama3, yarn, longrope, proportional or mrope"));
  }
  if (!status.ok()) return status;
  return rope;
}

absl::StatusOr<int64_t> ExtendedPositions(const json::object& config, int64_t max_positions,
                                          absl::string_view where) {
  constexpr double kMost = 1 << 30;
  const auto extend = [&](const json::object* scaling, const json::object& parent) -> absl::Status {
    const Reader reader(scaling, parent, where);
    const Reader top(nullptr, parent, where);
    KEEL_ASSIGN_OR_RETURN(const std::string type, reader.Type());
    if (type != "yarn" && type != "dynamic") return absl::OkStatus();
    KEEL_ASSIGN_OR_RETURN(double trained, top.Number("max_position_embeddings", 0));
    if (type == "yarn") {
      KEEL_ASSIGN_OR_RETURN(trained, reader.Positive("original_max_position_embeddings", trained));
    }
    KEEL_ASSIGN_OR_RETURN(const double factor, reader.Positive("factor", 1));
    max_positions =
        std::max(max_positions, static_cast<int64_t>(std::min(trained * factor, kMost)));
    return absl::OkStatus();
  };
  for (const char* params : {"rope_parameters", "text_config/rope_parameters"}) {
    const bool is_nested = absl::string_view(params) != "rope_parameters";
    KEEL_ASSIGN_OR_RETURN(const json::object* text, FindObject(config, "text_config", where));
    if (is_nested && text == nullptr) continue;
    KEEL_ASSIGN_OR_RETURN(const Source source, Locate(params, config, where));
    KEEL_RETURN_IF_ERROR(extend(source.scaling, *source.parent));
    if (source.scaling == nullptr) continue;
    for (const auto& [layer_type, of_layer] : *source.scaling) {
      if (of_layer.is_object())
        KEEL_RETURN_IF_ERROR(extend(&of_layer.get_object(), *source.parent));
    }
  }
  return max_positions;
}

}  // namespace keel
