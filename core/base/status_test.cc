#include "core/base/status.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "core/base/status_matchers.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

absl::StatusOr<std::pair<int, int>> Pair(bool ok) {
  if (!ok) return absl::NotFoundError("no pair");
  return std::pair(1, 2);
}

absl::StatusOr<int> Sum(bool ok) {
  KEEL_ASSIGN_OR_RETURN((const auto [a, b]), Pair(ok));
  int sum = 0;
  KEEL_ASSIGN_OR_RETURN(sum, absl::StatusOr<int>(a + b));
  return sum;
}

absl::Status Check(bool ok) {
  KEEL_RETURN_IF_ERROR(Sum(ok));
  KEEL_RETURN_IF_ERROR(absl::OkStatus());
  return absl::OkStatus();
}

TEST(StatusTest, MacrosPassTheFirstErrorUp) {
  EXPECT_THAT(Sum(true), IsOkAndHolds(3));
  EXPECT_THAT(Sum(false), StatusIs(absl::StatusCode::kNotFound, "no pair"));
  EXPECT_THAT(Check(true), IsOk());
  EXPECT_THAT(Check(false), StatusIs(absl::StatusCode::kNotFound));
}

TEST(StatusTest, AnnotateKeepsCodeAndPayload) {
  absl::Status status = absl::DataLossError("cut short");
  status.SetPayload("url", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "model.safetensors");
  EXPECT_THAT(annotated, StatusIs(absl::StatusCode::kDataLoss, "model.safetensors: cut short"));
  EXPECT_EQ(annotated.GetPayload("url"), absl::Cord("payload"));
}

TEST(StatusTest, AnnotateLeavesOkAlone) { EXPECT_THAT(Annotate(absl::OkStatus(), "x"), IsOk()); }

}  // namespace
}  // namespace keel
