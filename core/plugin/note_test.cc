#include "core/plugin/note.h"

#include <random>
#include <string>

#include "core/base/status_matchers.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::string Content(const std::string& lines) {
  const uint32_t abi[2] = {KEEL_ABI_MAJOR, KEEL_ABI_MINOR};
  return std::string(reinterpret_cast<const char*>(abi), sizeof(abi)) + lines + '\0';
}

TEST(PluginNoteTest, ReadsListsSortedAndIgnoresKeysOfLaterSdks) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const PluginNote note,
      ParsePluginNote(Content("id=org.example.a\nversion=2.0\narchitectures=B,A,B\nmodel_types=a\n"
                              "attention=org.x\nkernels=k\nprocessors=P\nfuture=1\n")));
  EXPECT_EQ(note.id, "org.example.a");
  EXPECT_EQ(note.version, "2.0");
  EXPECT_EQ(note.abi_minor, KEEL_ABI_MINOR);
  EXPECT_THAT(note.architectures, ElementsAre("A", "B"));
  EXPECT_THAT(note.processors, ElementsAre("P"));
}

TEST(PluginNoteTest, RefusesABadNoteNamingTheLine) {
  EXPECT_THAT(ParsePluginNote("abc"), StatusIs(kInvalid, HasSubstr("too short")));
  EXPECT_THAT(ParsePluginNote(Content("version=1\n")), StatusIs(kInvalid, HasSubstr("no id")));
  EXPECT_THAT(ParsePluginNote(Content("id=a\n")), StatusIs(kInvalid, HasSubstr("no version")));
  EXPECT_THAT(ParsePluginNote(Content("id=a b\n")), StatusIs(kInvalid, HasSubstr("id is 'a b'")));
  EXPECT_THAT(ParsePluginNote(Content("id=a\nversion=1\narchitectures=A,\x1b[2J\n")),
              StatusIs(kInvalid, HasSubstr("architectures has the name '\\x1b[2J'")));
  EXPECT_THAT(ParsePluginNote(std::string(100000, 'a')), StatusIs(kInvalid, HasSubstr("64 KiB")));
}

TEST(PluginNoteTest, AHostOfMajorZeroTakesItsOwnMinorOnly) {
  KEEL_EXPECT_OK(CheckPluginAbi({KEEL_ABI_MAJOR, KEEL_ABI_MINOR}));
  EXPECT_THAT(CheckPluginAbi({0, 7}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "needs ABI 0.7, this host speaks 0.2; build it with an SDK of 0.2 or update "
                       "keel"));
  EXPECT_THAT(CheckPluginAbi({0, 0}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "needs ABI 0.0, this host speaks 0.2; build it with an SDK of 0.2"));
}

TEST(PluginNoteTest, FromOneDotZeroOnAHostTakesEveryMinorOfItsMajor) {
  KEEL_EXPECT_OK(CheckPluginAbi({1, 0}, {1, 4}));
  KEEL_EXPECT_OK(CheckPluginAbi({1, 9}, {1, 4}));  // min_host_minor has the last word
  EXPECT_THAT(CheckPluginAbi({0, 9}, {1, 0}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "needs ABI 0.9, this host speaks 1.0; build it with an SDK of 1.0"));
  EXPECT_THAT(CheckPluginAbi({2, 0}, {1, 4}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "needs ABI 2.0, this host speaks 1.4; build it with an SDK of 1.4 or update "
                       "keel"));
}

TEST(PluginNoteTest, RandomNotesNeverCrash) {
  std::mt19937 random(1);
  const std::string good = Content("id=org.example.a\nversion=2.0\narchitectures=A,B\n");
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % (text.size() + 1));
    const absl::StatusOr<PluginNote> note = ParsePluginNote(text);
    if (note.ok()) {
      EXPECT_TRUE(IsPluginName(note->id));
    }
  }
}

}  // namespace
}  // namespace keel
