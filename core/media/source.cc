#include "core/media/source.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr char kFlag[] = "--allowed-local-media-path";

bool IsBase64(absl::string_view text) {
  if (text.size() % 4 != 0) return false;
  for (int i = 0; i < 2; ++i) absl::ConsumeSuffix(&text, "=");
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '+' || c == '/'; });
}

absl::Status TooLarge(uint64_t bytes, int64_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("has ", bytes, " bytes, expected at most ", max_bytes));
}

// What follows "data:". Only the form that media take: a type, perhaps parameters, base64.
absl::StatusOr<std::string> ReadData(absl::string_view rest, int64_t max_bytes) {
  const size_t comma = rest.find(',');
  absl::string_view type = rest.substr(0, comma);
  if (comma == rest.npos || !absl::ConsumeSuffix(&type, ";base64")) {
    return absl::InvalidArgumentError(
        "is no data URL that can be read, expected data:<type>;base64,<data>");
  }
  const bool plain = std::all_of(type.begin(), type.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("/+-._;=", c);
  });
  if (!plain) return absl::InvalidArgumentError("is a data URL with a type that is none");
  return DecodeBase64(rest.substr(comma + 1), max_bytes);
}

std::optional<int> Digit(char c) {
  if (!absl::ascii_isxdigit(c)) return std::nullopt;
  return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
}

absl::StatusOr<std::string> Unescaped(absl::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      const auto high = i + 2 < path.size() ? Digit(path[i + 1]) : std::nullopt;
      const auto low = i + 2 < path.size() ? Digit(path[i + 2]) : std::nullopt;
      if (!high || !low) return absl::InvalidArgumentError("has a % that begins no escape");
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (c == '\0') return absl::InvalidArgumentError("has a zero byte in its path");
    out.push_back(c);
  }
  return out;
}

// `path` seen from `directory`; nullopt if it does not begin so.
std::optional<std::string> Below(absl::string_view path, absl::string_view directory) {
  while (absl::ConsumeSuffix(&directory, "/")) {
  }
  if (!absl::ConsumePrefix(&path, directory) || !absl::ConsumePrefix(&path, "/"))
    return std::nullopt;
  while (absl::ConsumePrefix(&path, "/")) {
  }
  return std::string(path);
}

// Opens a file without leaving `directory`, whatever links and ".." there are: the kernel sees to it.
absl::StatusOr<FileDescriptor> OpenBelow(const FileDescriptor& directory, const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  FileDescriptor file(
      static_cast<int>(syscall(SYS_openat2, directory.get(), path.c_str(), &how, sizeof(how))));
  if (file.get() >= 0) return file;
  switch (errno) {
    case EXDEV:
      return absl::PermissionDeniedError(absl::StrCat("leads out of ", kFlag));
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError("is not there");
    case ENOSYS:
      return absl::FailedPreconditionError(
          absl::StrCat("can't be opened: ", kFlag, " needs openat2 (Linux 5.6)"));
    default:
      return absl::InvalidArgumentError(absl::StrCat("can't be opened: ", strerror(errno)));
  }
}

absl::StatusOr<std::string> ReadAll(const FileDescriptor& file, int64_t max_bytes) {
  struct stat info = {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return absl::InvalidArgumentError("is no regular file");
  if (info.st_size > max_bytes) return TooLarge(info.st_size, max_bytes);
  std::string bytes(info.st_size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::InvalidArgumentError(absl::StrCat("can't be read: ", strerror(errno)));
    if (n == 0) break;
    done += n;
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> DecodeBase64(absl::string_view text, int64_t max_bytes) {
  const uint64_t bytes = text.size() / 4 * 3;
  if (bytes > static_cast<uint64_t>(max_bytes) + 2) return TooLarge(bytes, max_bytes);
  std::string decoded;
  if (!IsBase64(text) || !absl::Base64Unescape(text, &decoded)) {
    return absl::InvalidArgumentError(
        "is no base64: expected the letters A-Z a-z 0-9 + /, in fours, padded with =");
  }
  if (decoded.size() > static_cast<uint64_t>(max_bytes)) return TooLarge(decoded.size(), max_bytes);
  return decoded;
}

MediaSource::MediaSource(const Options& options) : options_(options) {
  options_.fetch.max_bytes = options.max_bytes;
}

absl::StatusOr<std::unique_ptr<MediaSource>> MediaSource::Create(const Options& options) {
  std::unique_ptr<MediaSource> source(new MediaSource(options));
  const std::string& path = options.allowed_local_media_path;
  if (path.empty()) return source;
  source->directory_ = FileDescriptor(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  char* const real = source->directory_.get() >= 0 ? realpath(path.c_str(), nullptr) : nullptr;
  if (real == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(kFlag, " ", path, ": ", strerror(errno), ", expected a directory"));
  }
  source->real_directory_ = real;
  free(real);
  return source;
}

absl::StatusOr<std::string> MediaSource::Read(const std::string& url) const {
  const size_t colon = url.find(':');
  const std::string scheme = absl::AsciiStrToLower(url.substr(0, colon));
  const absl::string_view rest =
      colon == url.npos ? absl::string_view() : absl::string_view(url).substr(colon + 1);
  if (colon != url.npos && scheme == "data") return ReadData(rest, options_.max_bytes);
  if (colon != url.npos && scheme == "file") return ReadLocal(rest);
  if (colon != url.npos && (scheme == "http" || scheme == "https"))
    return Fetch(url, options_.fetch);
  return absl::InvalidArgumentError(
      "is no URL of a kind that is read, expected data:, file:, https: or http:");
}

absl::StatusOr<std::string> MediaSource::ReadLocal(absl::string_view rest) const {
  if (directory_.get() < 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("is a local file, which this server does not read; start it with ", kFlag));
  }
  if (absl::ConsumePrefix(&rest, "//") && !absl::StartsWith(rest, "/"))
    absl::ConsumePrefix(&rest, "localhost");
  if (!absl::StartsWith(rest, "/"))
    return absl::InvalidArgumentError("has no path, expected file:///path");
  KEEL_ASSIGN_OR_RETURN(const std::string path, Unescaped(rest));
  std::optional<std::string> below = Below(path, options_.allowed_local_media_path);
  if (!below) below = Below(path, real_directory_);
  if (!below || below->empty())
    return absl::PermissionDeniedError(absl::StrCat("is not below ", kFlag));
  KEEL_ASSIGN_OR_RETURN(const FileDescriptor file, OpenBelow(directory_, *below));
  return ReadAll(file, options_.max_bytes);
}

}  // namespace keel
