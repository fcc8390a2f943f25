#include "core/base/error_detail.h"

#include <string>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

TEST(ErrorDetailTest, GoesUpWithTheStatus) {
  const absl::Status status =
      Annotate(WithField(absl::InvalidArgumentError("max_tokens is 0"), "max_tokens"), "request 7");
  EXPECT_EQ(status.message(), "request 7: max_tokens is 0");
  EXPECT_EQ(DetailOf(status, ErrorDetail::kField), "max_tokens");
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFlag), "");
}

TEST(ErrorDetailTest, TheFirstToSetItKnowsMost) {
  const absl::Status status =
      WithFile(WithFile(absl::NotFoundError("no such file"), "/m/a.json"), "/m");
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFile), "/m/a.json");
}

TEST(ErrorDetailTest, AnErrorMayHaveSeveral) {
  const absl::Status status =
      WithFlag(WithFile(absl::NotFoundError("no such file"), "/p.so"), "plugin-path");
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFile), "/p.so");
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFlag), "plugin-path");
}

TEST(ErrorDetailTest, SuccessHasNone) {
  EXPECT_TRUE(WithField(absl::OkStatus(), "n").ok());
  EXPECT_EQ(DetailOf(absl::OkStatus(), ErrorDetail::kField), "");
}

TEST(ErrorDetailTest, LongMessagesKeepBeginningAndEnd) {
  EXPECT_EQ(BoundedMessage(absl::NotFoundError("no such file")), "no such file");
  std::string name;
  while (name.size() < 3000000) name += "\u00e9";
  const std::string message =
      BoundedMessage(absl::InvalidArgumentError("tensor " + name + " is missing"));
  EXPECT_LT(message.size(), 5000u);
  EXPECT_THAT(message, ::testing::StartsWith("tensor \u00e9"));
  EXPECT_THAT(message, ::testing::HasSubstr("\u00e9 ... (29"));
  EXPECT_THAT(message, ::testing::EndsWith("\u00e9 is missing"));
}

}  // namespace
}  // namespace keel
