#include "apps/server/store/batch.h"

#include <array>

#include "apps/common/json_fields.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr std::array<std::string_view, 8> kNames = {"validating", "failed",    "in_progress",
                                                    "finalizing", "completed", "expired",
                                                    "cancelling", "cancelled"};

json::value TextOrNull(const std::string& text) {
  return text.empty() ? json::value() : json::value(text);
}

std::string TimeKey(BatchStatus status) {
  return status == BatchStatus::kValidating ? "created_at" : std::string(NameOf(status)) + "_at";
}

json::value FaultsJson(const std::vector<BatchFault>& faults) {
  if (faults.empty()) return nullptr;
  json::array data;
  for (const BatchFault& fault : faults) {
    data.push_back({{"code", fault.code},
                    {"message", fault.message},
                    {"param", TextOrNull(fault.param)},
                    {"line", fault.line == 0 ? json::value() : json::value(fault.line)}});
  }
  return json::object{{"object", "list"}, {"data", std::move(data)}};
}

json::value UsageJson(const BatchUsage& usage) {
  return {{"input_tokens", usage.input},
          {"input_tokens_details", {{"cached_tokens", usage.cached_input}}},
          {"output_tokens", usage.output},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning}}},
          {"total_tokens", usage.input + usage.output}};
}

// An empty one if it is absent or no object.
json::object ObjectField(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || !value->is_object() ? json::object() : value->get_object();
}

std::vector<BatchFault> FaultsOf(const json::object& errors) {
  std::vector<BatchFault> faults;
  const json::value* data = errors.if_contains("data");
  if (data == nullptr || !data->is_array()) return faults;
  for (const json::value& value : data->get_array()) {
    if (!value.is_object()) continue;
    const json::object& fault = value.get_object();
    faults.push_back({.code = TextField(fault, "code"),
                      .message = TextField(fault, "message"),
                      .param = TextField(fault, "param"),
                      .line = NumberField(fault, "line")});
  }
  return faults;
}

}  // namespace

std::string_view NameOf(BatchStatus status) { return kNames[static_cast<size_t>(status)]; }

bool HasEnded(BatchStatus status) {
  return status == BatchStatus::kFailed || status == BatchStatus::kCompleted ||
         status == BatchStatus::kExpired || status == BatchStatus::kCancelled;
}

json::object ToJson(const Batch& batch) {
  const std::string_view status = NameOf(batch.status);
  json::object object = {
      {"id", batch.id},
      {"object", "batch"},
      {"endpoint", batch.endpoint},
      {"model", TextOrNull(batch.model)},
      {"errors", FaultsJson(batch.faults)},
      {"input_file_id", batch.input_file_id},
      {"completion_window", batch.completion_window},
      {"status", json::string_view(status.data(), status.size())},
      {"output_file_id", TextOrNull(batch.has_output ? batch.output_id : "")},
      {"error_file_id", TextOrNull(batch.has_errors ? batch.errors_id : "")},
      {"expires_at", batch.expires_at},
  };
  for (size_t i = 0; i < kNames.size(); ++i) {
    const auto key = static_cast<BatchStatus>(i);
    const auto time = batch.times.find(key);
    object[TimeKey(key)] = time == batch.times.end() ? json::value() : json::value(time->second);
  }
  object["request_counts"] = {{"total", batch.counts.total},
                              {"completed", batch.counts.completed},
                              {"failed", batch.counts.failed}};
  object["usage"] = batch.usage.has_value() ? UsageJson(*batch.usage) : json::value();
  object["metadata"] = batch.metadata;
  return object;
}

std::string SaveBatch(const Batch& batch) {
  json::object object = ToJson(batch);
  json::object more = {{"output_id", batch.output_id},
                       {"errors_id", batch.errors_id},
                       {"has_output", batch.has_output},
                       {"has_errors", batch.has_errors}};
  if (batch.output_expires_after.has_value())
    more["output_expires_after"] = *batch.output_expires_after;
  object["keel"] = std::move(more);
  return json::serialize(object);
}

Result<Batch> LoadBatch(const std::string& text) {
  const json::object object = ParseObject(text);
  const json::object more = ObjectField(object, "keel");
  const json::object counts = ObjectField(object, "request_counts");
  Batch batch{.id = TextField(object, "id"),
              .endpoint = TextField(object, "endpoint"),
              .input_file_id = TextField(object, "input_file_id"),
              .completion_window = TextField(object, "completion_window"),
              .model = TextField(object, "model"),
              .expires_at = NumberField(object, "expires_at"),
              .counts = {.total = NumberField(counts, "total"),
                         .completed = NumberField(counts, "completed"),
                         .failed = NumberField(counts, "failed")},
              .faults = FaultsOf(ObjectField(object, "errors")),
              .metadata = ObjectField(object, "metadata"),
              .output_id = TextField(more, "output_id"),
              .errors_id = TextField(more, "errors_id")};
  const auto is_true = [&more](const char* key) {
    const json::value* value = more.if_contains(key);
    return value != nullptr && *value == true;
  };
  batch.has_output = is_true("has_output");
  batch.has_errors = is_true("has_errors");
  if (const json::object usage = ObjectField(object, "usage"); !usage.empty()) {
    batch.usage = {
        .input = NumberField(usage, "input_tokens"),
        .cached_input = NumberField(ObjectField(usage, "input_tokens_details"), "cached_tokens"),
        .output = NumberField(usage, "output_tokens"),
        .reasoning = NumberField(ObjectField(usage, "output_tokens_details"), "reasoning_tokens")};
  }
  if (more.contains("output_expires_after"))
    batch.output_expires_after = NumberField(more, "output_expires_after");
  bool has_status = false;
  for (size_t i = 0; i < kNames.size(); ++i) {
    const auto status = static_cast<BatchStatus>(i);
    if (const int64_t time = NumberField(object, TimeKey(status)); time != 0)
      batch.times[status] = time;
    if (TextField(object, "status") != kNames[i]) continue;
    batch.status = status;
    has_status = true;
  }
  if (batch.id.empty() || !has_status)
    return Status(Code::kDataLoss, "a batch of the database cannot be read: " + text.substr(0, 99));
  return batch;
}

}  // namespace keel::apps
