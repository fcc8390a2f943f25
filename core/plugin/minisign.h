// Signatures in minisign's format (https://jedisct1.github.io/minisign/), by libsodium: Ed25519 over
// the file's BLAKE2b-512, and over that signature with a "trusted comment". Files that are made here
// verify with `minisign -V` and the other way round. Texts may be hostile.
#ifndef KEEL_CORE_PLUGIN_MINISIGN_H_
#define KEEL_CORE_PLUGIN_MINISIGN_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

using MinisignKeyId = std::array<uint8_t, 8>;

struct MinisignPublicKey {
  MinisignKeyId id = {};
  std::array<uint8_t, 32> key = {};
};

struct MinisignSignature {
  MinisignKeyId key_id = {};
  std::array<uint8_t, 64> of_file = {};
  std::string trusted_comment;
  std::array<uint8_t, 64> of_comment = {};  // over of_file and trusted_comment
};

struct MinisignSecretKey {
  MinisignKeyId id = {};
  std::array<uint8_t, 64> key = {};
};

// As minisign shows it: 16 hexadecimal digits.
std::string MinisignKeyIdText(const MinisignKeyId& id);

// A public key: its base64 text, or a .pub file with that in its second line.
absl::StatusOr<MinisignPublicKey> ParseMinisignPublicKey(absl::string_view text);

// A .minisig file. The older form, which signs the file itself and not its hash, is refused.
absl::StatusOr<MinisignSignature> ParseMinisignSignature(absl::string_view text);

// OK if `key` signed `bytes` and the trusted comment. kPermissionDenied says which is not so.
absl::Status VerifyMinisign(const MinisignPublicKey& key, const MinisignSignature& signature,
                            absl::Span<const uint8_t> bytes);

// A secret key file of `minisign -G`; `password` is "" for one without (-W). kPermissionDenied: the
// password is wrong.
absl::StatusOr<MinisignSecretKey> ParseMinisignSecretKey(absl::string_view text,
                                                         const std::string& password);

// The text of a .minisig file. The comment must be one line.
absl::StatusOr<std::string> SignMinisign(const MinisignSecretKey& key,
                                         absl::Span<const uint8_t> bytes,
                                         absl::string_view trusted_comment);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_MINISIGN_H_
