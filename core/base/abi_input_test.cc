#include "core/base/abi_input.h"

#include <cstring>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

auto Refused(const char* text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("norm"), HasSubstr(text)));
}

// A struct of a later header: two more words.
struct Longer {
  keel_norm_desc known;
  uint64_t more[2];
};

class CopyInTest : public ::testing::Test {
 protected:
  CopyInTest() {
    desc_.known.struct_size = sizeof(keel_norm_desc);
    desc_.known.size = 64;
    desc_.known.weight_offset = 1;
    desc_.known.flags = KEEL_NORM_BIAS;
  }
  absl::StatusOr<keel_norm_desc> Copy() const {
    return CopyIn("norm", &desc_.known, KEEL_NORM_BIAS | KEEL_NORM_CAST_LAST);
  }
  Longer desc_ = {};
};

TEST_F(CopyInTest, TakesOneOfItsOwnSize) {
  KEEL_ASSERT_OK_AND_ASSIGN(const keel_norm_desc copy, Copy());
  EXPECT_EQ(std::memcmp(&copy, &desc_.known, sizeof(copy)), 0);
}

TEST_F(CopyInTest, FillsAShorterOneUpWithZeros) {
  desc_.known.struct_size = offsetof(keel_norm_desc, weight_offset);
  KEEL_ASSERT_OK_AND_ASSIGN(const keel_norm_desc copy, Copy());
  EXPECT_EQ(copy.size, 64);
  EXPECT_EQ(copy.weight_offset, 0);
  EXPECT_EQ(copy.flags, 0u);
  EXPECT_EQ(copy.struct_size, sizeof(copy));
}

TEST_F(CopyInTest, TakesALongerOneOnlyIfTheRestIsZero) {
  desc_.known.struct_size = sizeof(desc_);
  KEEL_EXPECT_OK(Copy().status());
  desc_.more[1] = 1;
  EXPECT_THAT(Copy(), Refused("is set, expected 0 beyond 40"));
}

TEST_F(CopyInTest, RefusesSizesThatNoStructHas) {
  for (const uint32_t size : {0u, 7u, 4097u, ~0u}) {
    desc_.known.struct_size = size;
    EXPECT_THAT(Copy(), Refused("struct_size is")) << size;
  }
  EXPECT_THAT(CopyIn<keel_norm_desc>("norm", nullptr), Refused("norm is NULL"));
}

TEST_F(CopyInTest, RefusesWhatIsReservedAndUnknownFlags) {
  desc_.known.flags = KEEL_NORM_NO_WEIGHT;
  EXPECT_THAT(Copy(), Refused("flags are 0x2, expected bits of 0x5"));
  desc_.known.flags = 0;
  desc_.known.reserved = 3;
  EXPECT_THAT(Copy(), Refused("reserved is 3, expected 0"));
}

TEST(GivenTest, NamesWhatIsNull) {
  KEEL_EXPECT_OK(CheckListGiven("norms", nullptr, 0));
  EXPECT_THAT(CheckListGiven("norms", nullptr, 2), Refused("norms is NULL, expected 2 entries"));
  const char* const texts[] = {"a", nullptr};
  KEEL_EXPECT_OK(CheckTextsGiven("norms", texts, 1));
  EXPECT_THAT(CheckTextsGiven("norms", texts, 2), Refused("norms[1] is NULL"));
  EXPECT_THAT(CopyText("norm", {nullptr, 3}), Refused("norm is NULL, expected 3 bytes"));
  EXPECT_EQ(*CopyText("norm", {nullptr, 0}), "");
  EXPECT_EQ(*CopyText("norm", {"abc", 2}), "ab");
}

}  // namespace
}  // namespace keel
