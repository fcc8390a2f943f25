#include "core/plugin/trust_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/plugin/manifest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kDenied = absl::StatusCode::kPermissionDenied;
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
const std::string kShaA(64, 'a'), kShaB(64, 'b');

std::string Golden(const std::string& name) {
  return ReadFile("core/plugin/testdata/minisign/" + name).value();
}

std::string KeyLine(const std::string& rest) {
  const std::string file = Golden("plain.pub");
  std::string line = file.substr(file.find('\n') + 1);
  line.pop_back();
  return absl::StrCat("key ", line, " ", rest, "\n");
}

PluginNote Note(const std::string& id = "org.example.foo", const std::string& version = "1.0") {
  PluginNote note;
  note.id = id;
  note.version = version;
  return note;
}

// What a store with this file says of minisign's signature of message.bin as the plugin of `note`.
absl::Status Check(const std::string& file, const PluginNote& note = Note()) {
  KEEL_ASSIGN_OR_RETURN(const TrustStore store, TrustStore::Parse(file, "trust"));
  KEEL_ASSIGN_OR_RETURN(const MinisignSignature signature,
                        ParseMinisignSignature(Golden("message.bin.minisig")));
  return store.CheckSignature(signature, testing::AsBytes(Golden("message.bin")), note);
}

TEST(TrustStoreTest, PinsAndDenies) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const TrustStore store,
      TrustStore::Parse(absl::StrCat("# ours\n\npin ", kShaA, " reviewed by ann\ndeny ", kShaB),
                        "trust"));
  EXPECT_TRUE(store.IsPinned(kShaA));
  EXPECT_FALSE(store.IsPinned(kShaB));
  EXPECT_TRUE(store.IsDenied(kShaB));
}

TEST(TrustStoreTest, AKeySignsTheIdsAndTheTimeThatItsLineSays) {
  EXPECT_THAT(Check(KeyLine("org.example.* of the publisher")), IsOk());
  EXPECT_THAT(Check(KeyLine("org.example.foo until=2999-12-31")), IsOk());
  EXPECT_THAT(Check(KeyLine("org.other.*")),
              StatusIs(kDenied, HasSubstr("may sign org.other.* only")));
  EXPECT_THAT(Check(KeyLine("* until=2020-01-01")),
              StatusIs(kDenied, HasSubstr("counted until 2020-01-01")));
  EXPECT_THAT(Check(""), StatusIs(kDenied, HasSubstr("which is not in the trust file")));
}

TEST(TrustStoreTest, ASignatureIsForOnePluginVersionAndPlatform) {
  EXPECT_THAT(Check(KeyLine("*"), Note("org.example.foo", "1.1")),
              StatusIs(kDenied, HasSubstr("is signed as 'org.example.foo 1.0 linux-x86_64'")));
  EXPECT_THAT(Check(KeyLine("*"), Note("org.example.fo", "o 1.0")), StatusIs(kDenied));
}

TEST(TrustStoreTest, ErrorsNameTheLine) {
  for (const auto& [line, message] : {std::pair{"pin abc", "pin has no sha256"},
                                      {"allow x", "'allow' is no entry"},
                                      {"key x", "expected key"},
                                      {"key x *", "is no public key"}}) {
    EXPECT_THAT(
        TrustStore::Parse(absl::StrCat("\n", line), "trust file t"),
        StatusIs(kInvalid, ::testing::AllOf(HasSubstr("trust file t:2: "), HasSubstr(message))));
  }
  EXPECT_THAT(Check(KeyLine("org.*.foo")), StatusIs(kInvalid, HasSubstr("not its last character")));
  EXPECT_THAT(Check(KeyLine("* until=soon")), StatusIs(kInvalid, HasSubstr("expected a day")));
}

TEST(TrustStoreTest, AFileThatOthersMayWriteIsRefused) {
  const testing::ScratchDir dir;
  const std::string path = dir.Write("trust", absl::StrCat("pin ", kShaA, "\n"));
  chmod(path.c_str(), 0644);
  EXPECT_TRUE(TrustStore::Open(path)->IsPinned(kShaA));
  for (const mode_t mode : {0664, 0646}) {
    chmod(path.c_str(), mode);
    EXPECT_THAT(TrustStore::Open(path), StatusIs(kDenied, HasSubstr("can be written by others")));
  }
  chmod(path.c_str(), 0644);
  if (chown(path.c_str(), 12345, 12345) == 0) {  // root may, but not in every sandbox
    EXPECT_THAT(TrustStore::Open(path), StatusIs(kDenied, HasSubstr("belongs to user 12345")));
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
  ASSERT_EQ(symlink("trust", (dir.path() + "/link").c_str()), 0);
  EXPECT_FALSE(TrustStore::Open(dir.path() + "/link").ok());
  EXPECT_THAT(TrustStore::Open(dir.path() + "/none"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(TrustStoreTest, ThePinsOfAUserAreFoundWhereItsConfigurationIs) {
  const testing::ScratchDir dir;
  setenv("XDG_CONFIG_HOME", dir.path().c_str(), 1);
  EXPECT_EQ(TrustStore::UserFile(), dir.path() + "/keel/trust");
  EXPECT_FALSE(TrustStore::Open()->IsPinned(kShaA));
  KEEL_ASSERT_OK(AppendPin(TrustStore::UserFile(), kShaA, "org.example.foo 1.0"));
  KEEL_ASSERT_OK(AppendPin(TrustStore::UserFile(), kShaB, ""));
  EXPECT_THAT(AppendPin(TrustStore::UserFile(), kShaA, ""),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(AppendPin(TrustStore::UserFile(), kShaA, "two\nlines"), StatusIs(kInvalid));
  EXPECT_TRUE(TrustStore::Open()->IsPinned(kShaB));
  EXPECT_EQ(ReadFile(TrustStore::UserFile()).value_or(""),
            absl::StrCat("pin ", kShaA, " org.example.foo 1.0\npin ", kShaB, "\n"));
  unsetenv("XDG_CONFIG_HOME");
}

TEST(TrustStoreTest, DamagedFilesAreRefusedOrParsed) {
  const std::string text = absl::StrCat(
      "# c\npin ", kShaA, " x\n", KeyLine("org.example.* until=2030-01-01"), "deny ", kShaB, "\n");
  std::mt19937 random(20261129);
  int parsed = 0;
  for (int round = 0; round < 5000; ++round)
    parsed += TrustStore::Parse(testing::Mutate(text, random), "trust").ok();
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace keel
