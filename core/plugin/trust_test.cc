#include "core/plugin/trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_matchers.h"
#include "core/plugin/discovery.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Mode = RemoteCodePolicy::Mode;

constexpr char kMinimal[] = "tests/plugins/libminimal.so";
constexpr absl::StatusCode kDenied = absl::StatusCode::kPermissionDenied;

// A copy of the minimal plugin in a directory of its own.
PluginRef Copy(const std::string& test, PluginOrigin origin) {
  const std::string dir = absl::StrCat(::testing::TempDir(), "/", test);
  mkdir(dir.c_str(), 0755);
  chmod(dir.c_str(), 0755);
  const std::string path = absl::StrCat(dir, "/libminimal.so");
  std::ofstream(path) << ReadFile(kMinimal).value();
  chmod(path.c_str(), 0644);
  FoundPlugins found = DiscoverPlugins({.plugin_paths = {path}}).value();
  found.plugins[0].origin = origin;
  return found.plugins[0];
}

std::string Sha256OfMinimal() {
  const std::string bytes = ReadFile(kMinimal).value();
  return Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

TEST(Sha256Test, KnowsTheStandardsExample) {
  const uint8_t abc[] = {'a', 'b', 'c'};
  EXPECT_EQ(Sha256Hex(abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(PluginTrustTest, WhatTheOperatorNamesMayRun) {
  KEEL_ASSERT_OK_AND_ASSIGN(const AuthorizedImage image,
                            PluginTrust().Authorize(Copy("operator", PluginOrigin::kPluginPath)));
  EXPECT_EQ(image.sha256(), Sha256OfMinimal());
  EXPECT_EQ(image.ref().note.id, "org.keel.test.minimal");
}

TEST(PluginTrustTest, TheImageCannotBeChanged) {
  KEEL_ASSERT_OK_AND_ASSIGN(const AuthorizedImage image,
                            PluginTrust().Authorize(Copy("sealed", PluginOrigin::kPluginPath)));
  EXPECT_EQ(pwrite(image.fd(), "x", 1, 0), -1);
  EXPECT_EQ(ftruncate(image.fd(), 0), -1);
  EXPECT_EQ(fcntl(image.fd(), F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
}

TEST(PluginTrustTest, AFileThatEverybodyMayWriteIsRefused) {
  for (const PluginOrigin origin : {PluginOrigin::kInTree, PluginOrigin::kPluginPath}) {
    const PluginRef ref = Copy("installation", origin);
    EXPECT_THAT(PluginTrust().Authorize(ref), IsOk());
    chmod(ref.path.c_str(), 0666);
    EXPECT_THAT(PluginTrust().Authorize(ref),
                StatusIs(kDenied, HasSubstr("plugin libminimal.so: the file can be written by "
                                            "everybody")));
    chmod(ref.path.c_str(), 0644);
    const std::string dir = ref.path.substr(0, ref.path.rfind('/'));
    chmod(dir.c_str(), 0777);
    EXPECT_THAT(PluginTrust().Authorize(ref), StatusIs(kDenied, HasSubstr("its directory")));
    chmod(dir.c_str(), 01777);  // as /tmp
    EXPECT_THAT(PluginTrust().Authorize(ref), IsOk());
  }
}

TEST(PluginTrustTest, AFileThatBecameALinkIsRefused) {
  const PluginRef ref = Copy("link", PluginOrigin::kPluginPath);
  ASSERT_EQ(rename(ref.path.c_str(), (ref.path + ".moved").c_str()), 0);
  ASSERT_EQ(symlink((ref.path + ".moved").c_str(), ref.path.c_str()), 0);
  EXPECT_FALSE(PluginTrust().Authorize(ref).ok());
}

TEST(PluginTrustTest, ACheckpointsPluginRunsOnlyPinned) {
  const PluginRef ref = Copy("checkpoint", PluginOrigin::kCheckpoint);
  const std::string flag = absl::StrCat("--trust-remote-code=full,", Sha256OfMinimal());
  EXPECT_THAT(PluginTrust().Authorize(ref),
              StatusIs(kDenied, AllOf(HasSubstr("comes with the checkpoint"), HasSubstr(flag))));
  EXPECT_THAT(PluginTrust({.mode = Mode::kJailed}).Authorize(ref),
              StatusIs(kDenied, AllOf(HasSubstr("may run in a jail only"), HasSubstr(flag))));
  EXPECT_THAT(PluginTrust({.mode = Mode::kFull}).Authorize(ref),
              StatusIs(kDenied, AllOf(HasSubstr("not pinned"), HasSubstr(flag))));
  const PluginTrust other({.mode = Mode::kFull, .pinned_sha256 = {std::string(64, '0')}});
  EXPECT_THAT(other.Authorize(ref), StatusIs(kDenied, HasSubstr("none of the pinned ones")));
  const PluginTrust pinned({.mode = Mode::kFull, .pinned_sha256 = {Sha256OfMinimal()}});
  EXPECT_THAT(pinned.Authorize(ref), IsOk());
}

TEST(PluginTrustTest, AJailTakesACheckpointsPluginUnpinned) {
  const PluginRef ref = Copy("jailed", PluginOrigin::kCheckpoint);
  EXPECT_THAT(PluginTrust({.mode = Mode::kJailed}).AuthorizeJailed(ref), IsOk());
  EXPECT_THAT(PluginTrust().AuthorizeJailed(ref),
              StatusIs(kDenied, HasSubstr("--trust-remote-code records it in a jail")));
}

TEST(PluginTrustTest, TheTrustFilePinsAndDenies) {
  const PluginRef ref = Copy("trust_file", PluginOrigin::kCheckpoint);
  const auto trust = [](Mode mode, const std::string& entry) {
    return PluginTrust({.mode = mode},
                       TrustStore::Parse(absl::StrCat(entry, " ", Sha256OfMinimal()), "t").value());
  };
  EXPECT_THAT(trust(Mode::kFull, "pin").Authorize(ref), IsOk());
  EXPECT_THAT(trust(Mode::kJailed, "pin").Authorize(ref), StatusIs(kDenied));  // full is asked for
  const auto denied = StatusIs(kDenied, HasSubstr("is denied by the trust file"));
  EXPECT_THAT(trust(Mode::kJailed, "deny").AuthorizeJailed(ref), denied);
  PluginRef named = ref;
  named.origin = PluginOrigin::kPluginPath;
  EXPECT_THAT(trust(Mode::kNone, "deny").Authorize(named), denied);
}

TEST(PluginTrustTest, ATrustedKeysSignatureIsAsGoodAsAPin) {
  const PluginRef ref = Copy("signed", PluginOrigin::kCheckpoint);
  const std::string bytes = ReadFile(ref.path).value();
  const std::string keys = "core/plugin/testdata/minisign/";
  const MinisignSecretKey key =
      ParseMinisignSecretKey(ReadFile(keys + "plain.key").value(), "").value();
  const std::string pub = ReadFile(keys + "plain.pub").value();
  const PluginTrust trust(
      {.mode = Mode::kFull},
      TrustStore::Parse(
          absl::StrCat("key ", pub.substr(pub.find('\n') + 1, 56), " org.keel.test.*"), "t")
          .value());
  EXPECT_THAT(trust.Authorize(ref), StatusIs(kDenied, HasSubstr("and has no signature")));
  const auto sign = [&](const std::string& name) {
    std::ofstream(ref.path + ".minisig")
        << SignMinisign(key, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, name)
               .value();
  };
  sign(SignedName(ref.note) + " by the test");
  EXPECT_THAT(trust.Authorize(ref), IsOk());
  sign("org.keel.test.minimal 2.0 linux-x86_64");
  EXPECT_THAT(trust.Authorize(ref), StatusIs(kDenied, HasSubstr("is signed as")));
}

TEST(PluginTrustTest, AGraphIsDataForEveryPolicyAndNeverCode) {
  PluginRef ref = Copy("graph", PluginOrigin::kCheckpoint);
  ref.kind = PluginKind::kGraph;
  KEEL_ASSERT_OK_AND_ASSIGN(const JailedImage image, PluginTrust().SealGraph(ref, 1 << 20));
  EXPECT_EQ(image.sha256(), Sha256OfMinimal());
  EXPECT_THAT(PluginTrust().SealGraph(ref, 100), StatusIs(absl::StatusCode::kResourceExhausted,
                                                          HasSubstr("graph file libminimal.so")));
  EXPECT_THAT(
      PluginTrust({.mode = Mode::kFull, .pinned_sha256 = {Sha256OfMinimal()}}).Authorize(ref),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no code to run")));
}

TEST(PluginTrustTest, AFileThatTheManifestDoesNotMeanIsRefused) {
  PluginRef ref = Copy("manifest", PluginOrigin::kCheckpoint);
  ref.sha256 = std::string(64, 'a');
  const PluginTrust pinned({.mode = Mode::kFull, .pinned_sha256 = {Sha256OfMinimal()}});
  EXPECT_THAT(pinned.Authorize(ref),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("the checkpoint is damaged")));
}

TEST(TrustRemoteCodeFlagTest, Parses) {
  EXPECT_EQ(ParseTrustRemoteCode("false")->mode, Mode::kNone);
  EXPECT_EQ(ParseTrustRemoteCode("true")->mode, Mode::kJailed);
  EXPECT_EQ(ParseTrustRemoteCode("jailed")->mode, Mode::kJailed);
  const std::string pin(64, 'f');
  KEEL_ASSERT_OK_AND_ASSIGN(const RemoteCodePolicy policy, ParseTrustRemoteCode("full," + pin));
  EXPECT_EQ(policy.mode, Mode::kFull);
  EXPECT_THAT(policy.pinned_sha256, ::testing::ElementsAre(pin));
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(ParseTrustRemoteCode("full,abc"),
              StatusIs(kInvalid, HasSubstr("'abc' is no sha256")));
  EXPECT_THAT(ParseTrustRemoteCode("maybe"),
              StatusIs(kInvalid, HasSubstr("expected false, jailed")));
  EXPECT_THAT(ParseTrustRemoteCode("true," + pin),
              StatusIs(kInvalid, HasSubstr("only follow full")));
}

}  // namespace
}  // namespace keel
