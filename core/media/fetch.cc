#include "core/media/fetch.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

using Url = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;
using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;

// Once in a process; curl needs it before its first handle.
bool IsReady() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

// "" if there is none.
std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// By the parser of who connects: two parsers that see two hosts in one URL are a hole.
absl::StatusOr<Url> Parse(const std::string& text) {
  Url url(curl_url(), curl_url_cleanup);
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK)
    return absl::InvalidArgumentError(absl::StrCat("is no URL: ", curl_url_strerror(code)));
  const std::string scheme = Part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError(
        absl::StrCat("has the scheme ", scheme, ", expected http or https"));
  }
  if (!Part(url.get(), CURLUPART_USER).empty() || !Part(url.get(), CURLUPART_PASSWORD).empty())
    return absl::InvalidArgumentError("has a user or a password, which are not sent");
  return url;
}

absl::Status CheckDomain(CURLU* url, const FetchOptions& options) {
  const std::string host = absl::AsciiStrToLower(Part(url, CURLUPART_HOST));
  for (const std::string& domain : options.allowed_domains) {
    if (host == absl::AsciiStrToLower(domain)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "is at ", host, ", expected one of --allowed-media-domains (",
      options.allowed_domains.empty() ? "none" : absl::StrJoin(options.allowed_domains, ", "),
      ")"));
}

// One answer of a host.
struct Transfer {
  const FetchOptions& options;
  std::string body = {};
  std::string redirect = {};  // the URL it sends us on to; "": none
  bool too_large = false, address_refused = false;
};

size_t Take(char* data, size_t size, size_t n, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (transfer.body.size() + size * n > static_cast<size_t>(transfer.options.max_bytes)) {
    transfer.too_large = true;
    return 0;
  }
  transfer.body.append(data, size * n);
  return size * n;
}

curl_socket_t OpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (!transfer.options.is_allowed_address(address->addr)) {
    transfer.address_refused = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void SetUp(CURL* curl, CURLU* url, absl::Duration left, Transfer& transfer) {
  curl_easy_setopt(curl, CURLOPT_CURLU, url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // not even one of the environment
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "keel");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(left))));
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE,
                   static_cast<curl_off_t>(transfer.options.max_bytes));
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
}

absl::Status Failed(CURLcode code, const Transfer& transfer) {
  if (transfer.address_refused)
    return absl::PermissionDeniedError("its host has a private, local or reserved address");
  if (transfer.too_large || code == CURLE_FILESIZE_EXCEEDED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("has more than ", transfer.options.max_bytes, " bytes"));
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return absl::DeadlineExceededError(
        absl::StrCat("takes longer than ", absl::FormatDuration(transfer.options.time_limit)));
  }
  return absl::UnavailableError(absl::StrCat("can't be fetched: ", curl_easy_strerror(code)));
}

// Asks the host of `url` once.
absl::Status Get(CURLU* url, absl::Duration left, Transfer& transfer) {
  const Curl curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return absl::InternalError("curl has no memory");
  SetUp(curl.get(), url, left, transfer);
  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK)
    return Failed(code, transfer);
  long status = 0;  // NOLINT: curl's type
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  char* redirect = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &redirect);
  if (status >= 300 && status < 400 && redirect != nullptr) {
    transfer.redirect = redirect;
    return absl::OkStatus();
  }
  if (status == 200) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("can't be fetched: its host answers ", status));
}

}  // namespace

absl::StatusOr<std::string> Fetch(const std::string& url, const FetchOptions& options) {
  if (!IsReady()) return absl::InternalError("curl can't be set up");
  const absl::Time deadline = absl::Now() + options.time_limit;
  std::string next = url;
  for (int redirects = 0; redirects <= options.max_redirects; ++redirects) {
    KEEL_ASSIGN_OR_RETURN(const Url parsed, Parse(next));
    KEEL_RETURN_IF_ERROR(CheckDomain(parsed.get(), options));
    Transfer transfer = {options};
    KEEL_RETURN_IF_ERROR(Get(parsed.get(), deadline - absl::Now(), transfer));
    if (transfer.redirect.empty()) return std::move(transfer.body);
    next = std::move(transfer.redirect);
  }
  return absl::UnavailableError(
      absl::StrCat("is redirected more than ", options.max_redirects, " times"));
}

}  // namespace keel
