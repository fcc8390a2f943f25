#include "core/plugin/trust_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/file_descriptor.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/plugin/manifest.h"

namespace keel {
namespace {

constexpr char kSystemFile[] = "/etc/keel/trust";
constexpr int64_t kMaxBytes = 1 << 20;

bool Contains(const std::vector<std::string>& list, absl::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// "2026-11-29": compares as text.
bool IsDate(absl::string_view text) {
  absl::Time time;
  std::string error;
  return text.size() == 10 && absl::ParseTime("%Y-%m-%d", text, &time, &error);
}

std::string Today() { return absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()); }

bool Matches(absl::string_view ids, absl::string_view id) {
  return absl::ConsumeSuffix(&ids, "*") ? absl::StartsWith(id, ids) : ids == id;
}

absl::StatusOr<TrustedKey> ParseKey(absl::Span<const absl::string_view> words) {
  if (words.size() < 2 || !IsPluginName(words[1])) {
    return absl::InvalidArgumentError(
        "expected key <minisign public key> <ids>, where ids is as org.example.* is");
  }
  TrustedKey key;
  KEEL_ASSIGN_OR_RETURN(key.key, ParseMinisignPublicKey(words[0]));
  key.ids = std::string(words[1]);
  if (absl::StrContains(absl::StripSuffix(key.ids, "*"), '*')) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", key.ids, "' has a * that is not its last character"));
  }
  if (words.size() > 2 && absl::StartsWith(words[2], "until=")) {
    key.until = std::string(absl::StripPrefix(words[2], "until="));
    if (!IsDate(key.until)) {
      return absl::InvalidArgumentError(
          absl::StrCat("until is '", key.until, "', expected a day as 2027-12-31"));
    }
  }
  return key;
}

// What root or the user wrote, and nobody else can write.
absl::Status CheckOwner(const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return absl::PermissionDeniedError("is not a regular file");
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat("belongs to user ", info.st_uid, ", expected root or user ", geteuid()));
  }
  if (info.st_mode & (S_IWGRP | S_IWOTH)) {
    return absl::PermissionDeniedError("can be written by others; chmod 644 it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTrusted(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) return absl::ErrnoToStatus(errno, "cannot open it");
  struct stat info;
  if (fstat(file.get(), &info) != 0) return absl::ErrnoToStatus(errno, "cannot stat it");
  KEEL_RETURN_IF_ERROR(CheckOwner(info));
  return ReadFile(absl::StrCat("/proc/self/fd/", file.get()), kMaxBytes);
}

}  // namespace

std::string TrustStore::UserFile() {
  if (const char* config = secure_getenv("XDG_CONFIG_HOME"); config != nullptr && *config == '/') {
    return absl::StrCat(config, "/keel/trust");
  }
  const char* home = secure_getenv("HOME");
  if (home == nullptr || *home != '/') return "";
  return absl::StrCat(home, "/.config/keel/trust");
}

absl::StatusOr<TrustStore> TrustStore::Open(const std::string& path) {
  TrustStore store;
  if (!path.empty()) {
    KEEL_RETURN_IF_ERROR(store.Read(path));
    return store;
  }
  for (const std::string& place : {std::string(kSystemFile), UserFile()}) {
    struct stat info;
    if (place.empty() || lstat(place.c_str(), &info) != 0) continue;
    KEEL_RETURN_IF_ERROR(store.Read(place));
  }
  return store;
}

absl::Status TrustStore::Read(const std::string& path) {
  const std::string where = absl::StrCat("trust file ", path);
  const absl::StatusOr<std::string> text = ReadTrusted(path);
  if (!text.ok()) return Annotate(text.status(), where);
  KEEL_ASSIGN_OR_RETURN(TrustStore read, Parse(*text, where));
  const auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(pins_, read.pins_);
  append(denied_, read.denied_);
  append(keys_, read.keys_);
  return absl::OkStatus();
}

absl::StatusOr<TrustStore> TrustStore::Parse(absl::string_view text, absl::string_view where) {
  TrustStore store;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (absl::Status status = store.ParseLine(line); !status.ok())
      return Annotate(status, absl::StrCat(where, ":", number));
  }
  return store;
}

absl::Status TrustStore::ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.empty() || absl::StartsWith(words[0], "#")) return absl::OkStatus();
  const absl::Span<const absl::string_view> rest = absl::MakeConstSpan(words).subspan(1);
  if (words[0] == "key") {
    KEEL_ASSIGN_OR_RETURN(keys_.emplace_back(), ParseKey(rest));
    return absl::OkStatus();
  }
  if (words[0] != "pin" && words[0] != "deny") {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(words[0].substr(0, 40)),
                     "' is no entry, expected pin, key, deny or a # comment"));
  }
  if (rest.empty() || !IsSha256Hex(rest[0])) {
    return absl::InvalidArgumentError(
        absl::StrCat(words[0], " has no sha256 (64 digits 0-9, a-f)"));
  }
  (words[0] == "pin" ? pins_ : denied_).emplace_back(rest[0]);
  return absl::OkStatus();
}

bool TrustStore::IsPinned(absl::string_view sha256) const { return Contains(pins_, sha256); }
bool TrustStore::IsDenied(absl::string_view sha256) const { return Contains(denied_, sha256); }

absl::Status TrustStore::CheckSignature(const MinisignSignature& signature,
                                        absl::Span<const uint8_t> bytes,
                                        const PluginNote& note) const {
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [&](const TrustedKey& k) { return k.key.id == signature.key_id; });
  const std::string id = MinisignKeyIdText(signature.key_id);
  if (key == keys_.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("is signed by key ", id, ", which is not in the trust file"));
  }
  KEEL_RETURN_IF_ERROR(VerifyMinisign(key->key, signature, bytes));
  if (!Matches(key->ids, note.id)) {
    return absl::PermissionDeniedError(
        absl::StrCat("is ", note.id, ", and key ", id, " may sign ", key->ids, " only"));
  }
  if (!key->until.empty() && key->until < Today()) {
    return absl::PermissionDeniedError(
        absl::StrCat("is signed by key ", id, ", which counted until ", key->until));
  }
  const std::string name = SignedName(note);
  absl::string_view comment = signature.trusted_comment;
  if (!absl::ConsumePrefix(&comment, name) || (!comment.empty() && comment[0] != ' ')) {
    return absl::PermissionDeniedError(
        absl::StrCat("is signed as '", signature.trusted_comment, "', expected '", name, "'"));
  }
  return absl::OkStatus();
}

std::string SignedName(const PluginNote& note) {
  return absl::StrCat(note.id, " ", note.version, " linux-", kThisArch);
}

absl::Status AppendPin(const std::string& path, const std::string& sha256,
                       const std::string& comment) {
  if (std::any_of(comment.begin(), comment.end(), [](char c) { return c == '\n' || c == '\r'; }))
    return absl::InvalidArgumentError("the comment has more than a line");
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const FileDescriptor file(
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
  const std::string where = absl::StrCat("trust file ", path);
  if (file.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", where));
  // What can't be read as a trust file does not become one.
  KEEL_ASSIGN_OR_RETURN(const TrustStore store, TrustStore::Open(path));
  if (store.IsPinned(sha256))
    return absl::AlreadyExistsError(absl::StrCat(where, " has that pin already"));
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  const bool ends = text.empty() || text.back() == '\n';
  const std::string line =
      absl::StrCat(ends ? "" : "\n", "pin ", sha256, comment.empty() ? "" : " ", comment, "\n");
  if (write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", where));
  return absl::OkStatus();
}

}  // namespace keel
