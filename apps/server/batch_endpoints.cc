// /v1/batches: lines of a file that are answered when clients leave room for them.
#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/server/list_page.h"
#include "apps/server/offline_jobs.h"
#include "apps/wire/fields.h"
#include "apps/wire/openai/openai.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr std::string_view kPath = "/v1/batches/", kCancel = "/cancel";
constexpr int64_t kMaxListed = 100, kListed = 20;
constexpr int64_t kMaxWindowSeconds = 30 * 24 * 3600;

// "24h", and other whole numbers of s, m, h or d up to 30 days; 0: it is none.
int64_t WindowSeconds(std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest + 1 != end || number < 1 || number > kMaxWindowSeconds) return 0;
  const int64_t unit = *rest == 's'   ? 1
                       : *rest == 'm' ? 60
                       : *rest == 'h' ? 3600
                       : *rest == 'd' ? 24 * 3600
                                      : 0;
  return number * unit <= kMaxWindowSeconds ? number * unit : 0;
}

std::string ReadRequired(Fields& fields, const char* name) {
  const auto value = fields.String(name);
  if (!value.has_value())
    fields.Fail(InvalidField(name, std::string(name) + " is missing, expected a text"));
  return std::string(value.value_or(""));
}

void CheckEndpoint(Fields& fields, const std::string& endpoint) {
  const std::vector<Dialect::Endpoint>& all = OpenAi().endpoints;
  const auto is_it = [&](const Dialect::Endpoint& e) { return e.path == endpoint; };
  if (std::any_of(all.begin(), all.end(), is_it)) return;
  std::string names;
  for (const Dialect::Endpoint& e : all) names += (names.empty() ? "" : ", ") + std::string(e.path);
  fields.Fail(
      InvalidField("endpoint", "endpoint is " + Quote(endpoint) + ", expected one of " + names));
}

json::object ReadMetadata(Fields& fields) {
  constexpr size_t kMostPairs = 16, kLongestKey = 64, kLongestValue = 512;
  const json::object* metadata = fields.Object("metadata");
  if (metadata == nullptr) return {};
  bool is_good = metadata->size() <= kMostPairs;
  for (const auto& [key, value] : *metadata) {
    is_good = is_good && key.size() <= kLongestKey && value.is_string() &&
              value.get_string().size() <= kLongestValue;
  }
  if (!is_good) {
    fields.Fail(InvalidField("metadata",
                             "metadata has more than 16 pairs, a key of more than 64 "
                             "characters, or a value that is no text of at most 512"));
  }
  return *metadata;
}

std::optional<int64_t> ReadOutputExpiry(Fields& fields) {
  const json::object* object = fields.Object("output_expires_after");
  if (object == nullptr) return std::nullopt;
  Fields expiry(*object, "output_expires_after.");
  const std::string_view anchor = expiry.String("anchor").value_or("");
  const int64_t seconds = expiry.Int("seconds").value_or(0);
  if (!expiry.ok()) fields.Fail(*expiry.error());
  if (MaybeError error = CheckExpiry(anchor, seconds)) {
    error->field = "output_" + error->field;
    error->message = "output_" + error->message;
    fields.Fail(*std::move(error));
  }
  return seconds;
}

MaybeError ReadBatch(const json::object& body, Batch* batch) {
  Fields fields(body);
  batch->input_file_id = ReadRequired(fields, "input_file_id");
  batch->endpoint = ReadRequired(fields, "endpoint");
  if (fields.ok()) CheckEndpoint(fields, batch->endpoint);
  batch->completion_window = ReadRequired(fields, "completion_window");
  const int64_t window = WindowSeconds(batch->completion_window);
  if (fields.ok() && window == 0) {
    fields.Fail(InvalidField("completion_window",
                             "completion_window is " + Quote(batch->completion_window) +
                                 ", expected '24h' or another number of s, m, h or d up to 30d"));
  }
  batch->metadata = ReadMetadata(fields);
  batch->output_expires_after = ReadOutputExpiry(fields);
  const int64_t now = Now();
  batch->Enter(BatchStatus::kValidating, now);
  batch->expires_at = now + window;
  return fields.error();
}

void Create(OfflineJobs& jobs, Exchange& exchange) {
  json::value body;
  if (const MaybeError error = ParseBody(exchange.request().body, &body))
    return RespondError(exchange, *error);
  Batch batch;
  if (const MaybeError error = ReadBatch(body.get_object(), &batch))
    return RespondError(exchange, *error);
  const Result<StoredFile> input = jobs.files().Find(batch.input_file_id);
  if (!input.ok()) return RespondError(exchange, StoreError(input.status(), "input_file_id"));
  if (input->purpose != "batch") {
    return RespondError(
        exchange, InvalidField("input_file_id", "the purpose of file '" + input->id + "' is " +
                                                    Quote(input->purpose) + ", expected 'batch'"));
  }
  if (const Status status = jobs.batches().Add(&batch); !status.ok())
    return RespondError(exchange, StoreError(status));
  jobs.queue().Wake();
  RespondJson(exchange, ToJson(batch));
}

void List(OfflineJobs& jobs, Exchange& exchange) {
  Page page;
  if (const MaybeError error = ReadPage(exchange.request().query, kListed, kMaxListed, &page))
    return RespondError(exchange, *error);
  const Result<std::vector<Batch>> batches = jobs.batches().List(page);
  if (!batches.ok()) return RespondError(exchange, StoreError(batches.status()));
  std::vector<json::object> objects;
  for (const Batch& batch : *batches) objects.push_back(ToJson(batch));
  RespondJson(exchange, ListJson(std::move(objects), page));
}

void RespondBatch(const Result<Batch>& batch, Exchange& exchange) {
  if (!batch.ok()) return RespondError(exchange, StoreError(batch.status(), "batch_id"));
  RespondJson(exchange, ToJson(*batch));
}

void Get(OfflineJobs& jobs, Exchange& exchange) {
  RespondBatch(jobs.batches().Find(exchange.request().path.substr(kPath.size())), exchange);
}

void Cancel(OfflineJobs& jobs, Exchange& exchange) {
  std::string_view id = std::string_view(exchange.request().path).substr(kPath.size());
  if (!id.ends_with(kCancel)) {
    return RespondError(exchange, {.code = ErrorCode::kNotFound,
                                   .message = "no endpoint " + exchange.request().path +
                                              "; POST /v1/batches/ID/cancel is one"});
  }
  id.remove_suffix(kCancel.size());
  RespondBatch(jobs.queue().Cancel(std::string(id)), exchange);
}

}  // namespace

void AddBatchEndpoints(Router& router, OfflineJobs* jobs) {
  using Endpoint = void (*)(OfflineJobs&, Exchange&);
  const auto add = [&](const char* method, const char* path, Endpoint endpoint) {
    router.Add(method, path, [jobs, endpoint](std::shared_ptr<Exchange> exchange) {
      if (jobs == nullptr) return RespondError(*exchange, NoOfflineJobs());
      endpoint(*jobs, *exchange);
    });
  };
  add("POST", "/v1/batches", Create);
  add("GET", "/v1/batches", List);
  add("GET", "/v1/batches/*", Get);
  add("POST", "/v1/batches/*", Cancel);
}

}  // namespace keel::apps
