#include "core/plugin/minisign.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr size_t kMaxText = 4096;
constexpr char kHashedAlgorithm[] = "ED";
constexpr char kPlainAlgorithm[] = "Ed";  // also that of keys
constexpr absl::string_view kUntrusted = "untrusted comment: ";
constexpr absl::string_view kTrusted = "trusted comment: ";
constexpr uint64_t kMaxKdfMemory = uint64_t{2} << 30;

absl::Status Bad(absl::string_view what, absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat("is no ", what, " of minisign: ", found));
}

void Init() {
  // Fails only where the system has no random numbers; signing and verifying need none.
  static const int ready = sodium_init();
  (void)ready;
}

// Takes fields of fixed size from decoded bytes.
class Fields {
 public:
  explicit Fields(absl::string_view bytes) : bytes_(bytes) {}
  template <size_t n>
  void Take(std::array<uint8_t, n>& out) {
    std::memcpy(out.data(), bytes_.data(), n);
    bytes_.remove_prefix(n);
  }
  std::string Take(size_t n) {
    std::string out(bytes_.substr(0, n));
    bytes_.remove_prefix(n);
    return out;
  }
  uint64_t TakeNumber() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= uint64_t{static_cast<uint8_t>(bytes_[i])} << (8 * i);
    bytes_.remove_prefix(8);
    return value;
  }

 private:
  absl::string_view bytes_;
};

absl::StatusOr<std::string> Decode(absl::string_view line, size_t size, absl::string_view what) {
  std::string bytes;
  if (!absl::Base64Unescape(line, &bytes) || bytes.size() != size) {
    return Bad(what, absl::StrCat("expected a line of ", size, " bytes in base64"));
  }
  return bytes;
}

// Lines without their ends; of a text that is too long, none.
std::vector<absl::string_view> Lines(absl::string_view text) {
  if (text.size() > kMaxText) return {};
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  for (absl::string_view& line : lines) absl::ConsumeSuffix(&line, "\r");
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// A key's line: the text itself, or the second line of a file that begins with a comment.
absl::string_view KeyLine(absl::string_view text) {
  const std::vector<absl::string_view> lines = Lines(text);
  if (lines.size() == 1) return absl::StripAsciiWhitespace(lines[0]);
  return lines.size() == 2 && absl::StartsWith(lines[0], kUntrusted) ? lines[1] : "";
}

std::array<uint8_t, crypto_generichash_BYTES_MAX> HashOf(absl::Span<const uint8_t> bytes) {
  std::array<uint8_t, crypto_generichash_BYTES_MAX> hash;
  crypto_generichash(hash.data(), hash.size(), bytes.data(), bytes.size(), nullptr, 0);
  return hash;
}

// What the second signature is over.
std::string CommentMessage(const std::array<uint8_t, 64>& of_file, absl::string_view comment) {
  return absl::StrCat(
      absl::string_view(reinterpret_cast<const char*>(of_file.data()), of_file.size()), comment);
}

const uint8_t* Bytes(const std::string& text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

template <size_t n>
absl::string_view View(const std::array<uint8_t, n>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), n};
}

bool IsOneLine(absl::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); });
}

}  // namespace

std::string MinisignKeyIdText(const MinisignKeyId& id) {
  uint64_t number = 0;
  for (size_t i = 0; i < id.size(); ++i) number |= uint64_t{id[i]} << (8 * i);
  return absl::StrFormat("%016X", number);
}

absl::StatusOr<MinisignPublicKey> ParseMinisignPublicKey(absl::string_view text) {
  constexpr char kWhat[] = "public key";
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, Decode(KeyLine(text), 42, kWhat));
  Fields fields(bytes);
  if (fields.Take(2) != kPlainAlgorithm) return Bad(kWhat, "its algorithm is not Ed25519");
  MinisignPublicKey key;
  fields.Take(key.id);
  fields.Take(key.key);
  return key;
}

absl::StatusOr<MinisignSignature> ParseMinisignSignature(absl::string_view text) {
  constexpr char kWhat[] = "signature";
  const std::vector<absl::string_view> lines = Lines(text);
  if (lines.size() != 4 || !absl::StartsWith(lines[0], kUntrusted) ||
      !absl::StartsWith(lines[2], kTrusted)) {
    return Bad(kWhat, "expected four lines: a comment, a signature, a comment, a signature");
  }
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, Decode(lines[1], 74, kWhat));
  KEEL_ASSIGN_OR_RETURN(const std::string of_comment, Decode(lines[3], 64, kWhat));
  Fields fields(bytes);
  const std::string algorithm = fields.Take(2);
  if (algorithm == kPlainAlgorithm) return Bad(kWhat, "the old form; sign again with minisign -SH");
  if (algorithm != kHashedAlgorithm) return Bad(kWhat, "its algorithm is not Ed25519");
  MinisignSignature signature;
  fields.Take(signature.key_id);
  fields.Take(signature.of_file);
  Fields(of_comment).Take(signature.of_comment);
  signature.trusted_comment = std::string(absl::StripPrefix(lines[2], kTrusted));
  if (!IsOneLine(signature.trusted_comment)) return Bad(kWhat, "control characters in a comment");
  return signature;
}

absl::Status VerifyMinisign(const MinisignPublicKey& key, const MinisignSignature& signature,
                            absl::Span<const uint8_t> bytes) {
  Init();
  if (key.id != signature.key_id) {
    return absl::PermissionDeniedError(absl::StrCat("is signed by key ",
                                                    MinisignKeyIdText(signature.key_id), ", not ",
                                                    MinisignKeyIdText(key.id)));
  }
  const auto hash = HashOf(bytes);
  if (crypto_sign_verify_detached(signature.of_file.data(), hash.data(), hash.size(),
                                  key.key.data()) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("its signature by key ", MinisignKeyIdText(key.id),
                     " does not fit its bytes: one of the two was changed"));
  }
  const std::string message = CommentMessage(signature.of_file, signature.trusted_comment);
  if (crypto_sign_verify_detached(signature.of_comment.data(), Bytes(message), message.size(),
                                  key.key.data()) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("the trusted comment of its signature by key ",
                                                    MinisignKeyIdText(key.id), " was changed"));
  }
  return absl::OkStatus();
}

absl::StatusOr<MinisignSecretKey> ParseMinisignSecretKey(absl::string_view text,
                                                         const std::string& password) {
  constexpr char kWhat[] = "secret key";
  Init();
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, Decode(KeyLine(text), 158, kWhat));
  Fields fields(bytes);
  const std::string algorithm = fields.Take(2), kdf = fields.Take(2), checksum = fields.Take(2);
  const std::string salt = fields.Take(crypto_pwhash_scryptsalsa208sha256_SALTBYTES);
  const uint64_t ops = fields.TakeNumber(), memory = fields.TakeNumber();
  std::string secret = fields.Take(104);
  if (algorithm != kPlainAlgorithm || checksum != "B2") return Bad(kWhat, "unknown algorithms");
  if (kdf == "Sc") {
    std::string stream(secret.size(), '\0');
    if (memory > kMaxKdfMemory ||
        crypto_pwhash_scryptsalsa208sha256(reinterpret_cast<uint8_t*>(stream.data()), stream.size(),
                                           password.data(), password.size(), Bytes(salt), ops,
                                           memory) != 0) {
      return absl::ResourceExhaustedError("its password takes more memory than there is");
    }
    for (size_t i = 0; i < secret.size(); ++i) secret[i] ^= stream[i];
  } else if (kdf != std::string(2, '\0')) {
    return Bad(kWhat, "unknown encryption");
  }
  MinisignSecretKey key;
  std::array<uint8_t, 32> stated, actual;
  Fields parts(secret);
  parts.Take(key.id);
  parts.Take(key.key);
  parts.Take(stated);
  if (kdf != "Sc") return key;  // without a password minisign writes no checksum
  const std::string checked = absl::StrCat(algorithm, View(key.id), View(key.key));
  crypto_generichash(actual.data(), actual.size(), Bytes(checked), checked.size(), nullptr, 0);
  if (actual == stated) return key;
  return absl::PermissionDeniedError("its password is another, or it is damaged");
}

absl::StatusOr<std::string> SignMinisign(const MinisignSecretKey& key,
                                         absl::Span<const uint8_t> bytes,
                                         absl::string_view trusted_comment) {
  Init();
  if (!IsOneLine(trusted_comment))
    return absl::InvalidArgumentError("the trusted comment is more than a line of text");
  MinisignSignature signature;
  const auto hash = HashOf(bytes);
  crypto_sign_detached(signature.of_file.data(), nullptr, hash.data(), hash.size(), key.key.data());
  const std::string message = CommentMessage(signature.of_file, trusted_comment);
  crypto_sign_detached(signature.of_comment.data(), nullptr, Bytes(message), message.size(),
                       key.key.data());
  return absl::StrCat(
      kUntrusted, "signature by keel-plugin\n",
      absl::Base64Escape(absl::StrCat(kHashedAlgorithm, View(key.id), View(signature.of_file))),
      "\n", kTrusted, trusted_comment, "\n", absl::Base64Escape(View(signature.of_comment)), "\n");
}

}  // namespace keel
