#include "core/plugin/minisign.h"

#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kDenied = absl::StatusCode::kPermissionDenied;

// What tests/goldens/make_minisign.sh wrote with minisign itself.
std::string Golden(const std::string& name) {
  return ReadFile("core/plugin/testdata/minisign/" + name).value();
}

MinisignPublicKey PublicKey() { return ParseMinisignPublicKey(Golden("plain.pub")).value(); }

TEST(MinisignTest, VerifiesWhatMinisignSigned) {
  KEEL_ASSERT_OK_AND_ASSIGN(const MinisignSignature signature,
                            ParseMinisignSignature(Golden("message.bin.minisig")));
  EXPECT_EQ(signature.trusted_comment, "org.example.foo 1.0 linux-x86_64");
  const std::string message = Golden("message.bin");
  EXPECT_THAT(VerifyMinisign(PublicKey(), signature, testing::AsBytes(message)), IsOk());
  EXPECT_TRUE(absl::StrContains(Golden("plain.pub"), MinisignKeyIdText(signature.key_id)));
}

TEST(MinisignTest, RefusesWhatWasChanged) {
  KEEL_ASSERT_OK_AND_ASSIGN(const MinisignSignature signature,
                            ParseMinisignSignature(Golden("message.bin.minisig")));
  std::string message = Golden("message.bin");
  MinisignSignature other = signature;
  other.trusted_comment = "org.example.foo 2.0 linux-x86_64";
  EXPECT_THAT(VerifyMinisign(PublicKey(), other, testing::AsBytes(message)),
              StatusIs(kDenied, HasSubstr("trusted comment")));
  message[0] ^= 1;
  EXPECT_THAT(VerifyMinisign(PublicKey(), signature, testing::AsBytes(message)),
              StatusIs(kDenied, HasSubstr("does not fit its bytes")));
  other = signature;
  other.key_id[0] ^= 1;
  EXPECT_THAT(VerifyMinisign(PublicKey(), other, testing::AsBytes(message)),
              StatusIs(kDenied, HasSubstr("is signed by key")));
}

// The signature that minisign made is the one that is made here: Ed25519 has no random numbers.
TEST(MinisignTest, SignsAsMinisignDoes) {
  KEEL_ASSERT_OK_AND_ASSIGN(const MinisignSecretKey key,
                            ParseMinisignSecretKey(Golden("plain.key"), ""));
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text,
                            SignMinisign(key, testing::AsBytes(Golden("message.bin")),
                                         "org.example.foo 1.0 linux-x86_64"));
  EXPECT_EQ(text, absl::StrReplaceAll(
                      Golden("message.bin.minisig"),
                      {{"signature from minisign secret key", "signature by keel-plugin"}}));
  EXPECT_FALSE(SignMinisign(key, {}, "two\nlines").ok());
}

TEST(MinisignTest, ReadsAKeyInOneLineOrAsAFile) {
  const std::string file = Golden("plain.pub");
  const std::string line = file.substr(file.find('\n') + 1);
  KEEL_ASSERT_OK_AND_ASSIGN(const MinisignPublicKey key, ParseMinisignPublicKey(line));
  EXPECT_EQ(key.key, PublicKey().key);
  EXPECT_THAT(ParseMinisignPublicKey("RWabc"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no public key")));
}

TEST(MinisignTest, DamagedTextsAreRefusedOrVerifyAsWhatTheySay) {
  std::mt19937 random(20261129);
  const std::string message = Golden("message.bin"), text = Golden("message.bin.minisig");
  KEEL_ASSERT_OK_AND_ASSIGN(const MinisignSignature whole, ParseMinisignSignature(text));
  int parsed = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto signature = ParseMinisignSignature(testing::Mutate(text, random));
    (void)ParseMinisignPublicKey(testing::Mutate(Golden("plain.pub"), random));
    (void)ParseMinisignSecretKey(testing::Mutate(Golden("plain.key"), random), "");
    if (!signature.ok()) continue;
    ++parsed;
    if (VerifyMinisign(PublicKey(), *signature, testing::AsBytes(message)).ok()) {
      EXPECT_EQ(signature->of_file, whole.of_file);
      EXPECT_EQ(signature->trusted_comment, whole.trusted_comment);
    }
  }
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace keel
