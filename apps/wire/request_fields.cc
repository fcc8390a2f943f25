#include "apps/wire/request_fields.h"

#include <charconv>
#include <string>

namespace keel::apps {
namespace json = boost::json;

void CheckSet(Fields& fields, std::string_view field, const Status& status) {
  if (!status.ok()) fields.Fail(FromEngine(status, fields.path() + std::string(field)));
}

void SetInt(Fields& fields, Request& request, std::string_view field, const char* name,
            int64_t value) {
  CheckSet(fields, field, request.SetInt(name, value));
}

void ReadLogitBias(Fields& fields, std::string_view field, Request& request) {
  const json::object* biases = fields.Object(field);
  if (biases == nullptr) return;
  for (const auto& [key, value] : *biases) {
    int32_t token = -1;
    const char* end = key.data() + key.size();
    const auto [rest, error] = std::from_chars(key.data(), end, token);
    if (error != std::errc() || rest != end || !value.is_number()) {
      return fields.FailType(field, json::object({{key, value}}),
                             "an object from token ids to numbers: {\"42\": -100}");
    }
    CheckSet(fields, field, request.AddLogitBias(token, value.to_number<double>()));
  }
}

void CheckSequences(Fields& fields, std::string_view field, size_t prompts, int64_t n,
                    const CallLimits& limits) {
  const int64_t most = limits.max_sequences;
  if (most < 0 || n < 1 || static_cast<int64_t>(prompts) <= most / n) return;
  fields.Fail(InvalidField(fields.path() + std::string(field),
                           std::to_string(prompts) + " prompts with " + std::to_string(n) +
                               " answers each are more than the " + std::to_string(most) +
                               " sequences that the engine takes at once (--max-num-seqs and "
                               "--max-queued-requests); send fewer"));
}

}  // namespace keel::apps
