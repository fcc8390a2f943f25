// /v1/files: what clients leave for their batches, and get from them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/common/utf8.h"
#include "apps/server/form_data.h"
#include "apps/server/list_page.h"
#include "apps/server/offline_jobs.h"
#include "apps/wire/fields.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr std::string_view kPath = "/v1/files/", kContent = "/content";
constexpr int64_t kMaxListed = 10'000;
constexpr size_t kMaxFilename = 255;

json::object FileJson(const StoredFile& file) {
  return {{"id", file.id},
          {"object", "file"},
          {"bytes", file.bytes},
          {"created_at", file.created_at},
          {"expires_at", file.expires_at.has_value() ? json::value(*file.expires_at) : nullptr},
          {"filename", file.name},
          {"purpose", file.purpose},
          {"status", "processed"},
          {"status_details", nullptr}};
}

// The content of a file, in pieces.
class FileStream : public BodyStream {
 public:
  explicit FileStream(int fd) : fd_(fd) {}
  ~FileStream() override { close(fd_); }

  bool Take(std::string* bytes) override {
    const size_t had = bytes->size();
    bytes->resize(had + kPieceBytes);
    const ssize_t n = read(fd_, bytes->data() + had, kPieceBytes);
    bytes->resize(had + (n > 0 ? static_cast<size_t>(n) : 0));
    return n > 0;
  }

 private:
  static constexpr size_t kPieceBytes = 256 << 10;
  const int fd_;
};

const FormField* FindField(const std::vector<FormField>& fields, std::string_view name) {
  const auto it = std::find_if(fields.begin(), fields.end(),
                               [name](const FormField& field) { return field.name == name; });
  return it == fields.end() ? nullptr : &*it;
}

MaybeError ReadExpiry(const std::vector<FormField>& fields, std::optional<int64_t>* seconds) {
  const FormField* anchor = FindField(fields, "expires_after[anchor]");
  const FormField* field = FindField(fields, "expires_after[seconds]");
  if (anchor == nullptr && field == nullptr) return std::nullopt;
  const std::string_view text = field == nullptr ? "" : field->content;
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size()) number = -1;
  *seconds = number;
  return CheckExpiry(anchor == nullptr ? "" : anchor->content, number);
}

void Upload(OfflineJobs& jobs, Exchange& exchange) {
  std::vector<FormField> fields;
  const HttpRequest& request = exchange.request();
  if (const MaybeError error = ParseFormData(request.content_type, request.content(), &fields))
    return RespondError(exchange, *error);
  const FormField* purpose = FindField(fields, "purpose");
  if (purpose == nullptr || purpose->content != "batch") {
    const std::string given = purpose == nullptr ? "missing" : Quote(purpose->content);
    return RespondError(exchange, InvalidField("purpose", "purpose is " + given +
                                                              ", expected 'batch': files are kept "
                                                              "for batches alone"));
  }
  const FormField* file = FindField(fields, "file");
  if (file == nullptr || file->content.empty()) {
    return RespondError(exchange, InvalidField("file",
                                               "file is missing or empty, expected the "
                                               "content of a file of JSON lines"));
  }
  std::optional<int64_t> expires_after;
  if (const MaybeError error = ReadExpiry(fields, &expires_after))
    return RespondError(exchange, *error);
  const Result<StoredFile> stored = jobs.files().Add(
      std::string(Beginning(file->filename, kMaxFilename)), "batch", file->content, expires_after);
  if (!stored.ok()) return RespondError(exchange, StoreError(stored.status(), "file"));
  RespondJson(exchange, FileJson(*stored));
}

void List(OfflineJobs& jobs, Exchange& exchange) {
  Page page;
  std::string purpose;
  const std::string& query = exchange.request().query;
  if (const MaybeError error = ReadPage(query, kMaxListed, kMaxListed, &page))
    return RespondError(exchange, *error);
  purpose = QueryValue(query, "purpose").value_or("");
  const Result<std::vector<StoredFile>> files = jobs.files().List(purpose, page);
  if (!files.ok()) return RespondError(exchange, StoreError(files.status()));
  std::vector<json::object> objects;
  for (const StoredFile& file : *files) objects.push_back(FileJson(file));
  RespondJson(exchange, ListJson(std::move(objects), page));
}

void SendContent(OfflineJobs& jobs, const StoredFile& file, Exchange& exchange) {
  const int fd = open(jobs.files().PathOf(file.id).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return RespondError(exchange, {.code = ErrorCode::kInternal,
                                   .message = "the content of file '" + file.id + "' is lost"});
  }
  exchange.RespondInPieces({.status = 200, .content_type = "application/octet-stream"},
                           std::make_shared<FileStream>(fd));
}

void Get(OfflineJobs& jobs, Exchange& exchange) {
  std::string_view id = std::string_view(exchange.request().path).substr(kPath.size());
  const bool wants_content = id.ends_with(kContent);
  if (wants_content) id.remove_suffix(kContent.size());
  const Result<StoredFile> file = jobs.files().Find(std::string(id));
  if (!file.ok()) return RespondError(exchange, StoreError(file.status(), "file_id"));
  if (wants_content) return SendContent(jobs, *file, exchange);
  RespondJson(exchange, FileJson(*file));
}

void Delete(OfflineJobs& jobs, Exchange& exchange) {
  const std::string id = exchange.request().path.substr(kPath.size());
  const Result<StoredFile> file = jobs.files().Find(id);
  if (!file.ok()) return RespondError(exchange, StoreError(file.status(), "file_id"));
  const auto in_use = jobs.queue().FilesInUse();
  if (!in_use.ok()) return RespondError(exchange, StoreError(in_use.status()));
  if (std::find(in_use->begin(), in_use->end(), id) != in_use->end()) {
    return RespondError(
        exchange, InvalidField("file_id", "file '" + id +
                                              "' is the input of a batch that runs; cancel that "
                                              "first"));
  }
  const Status status = jobs.files().Remove(id);
  if (!status.ok()) return RespondError(exchange, StoreError(status));
  RespondJson(exchange, {{"id", id}, {"object", "file"}, {"deleted", true}});
}

}  // namespace

void AddFileEndpoints(Router& router, OfflineJobs* jobs) {
  using Endpoint = void (*)(OfflineJobs&, Exchange&);
  const auto add = [&](const char* method, const char* path, Endpoint endpoint) {
    router.Add(method, path, [jobs, endpoint](std::shared_ptr<Exchange> exchange) {
      if (jobs == nullptr) return RespondError(*exchange, NoOfflineJobs());
      endpoint(*jobs, *exchange);
    });
  };
  add("POST", kFilesPath.data(), Upload);
  add("GET", "/v1/files", List);
  add("GET", "/v1/files/*", Get);
  add("DELETE", "/v1/files/*", Delete);
}

}  // namespace keel::apps
