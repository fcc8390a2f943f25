// gmock matchers for absl::Status and StatusOr, for tests only.
//   EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kNotFound, HasSubstr("lm_head")));
//   EXPECT_THAT(Parse("7"), IsOkAndHolds(7));
//   KEEL_ASSERT_OK_AND_ASSIGN(const Config config, ReadConfig(path));
#ifndef KEEL_CORE_BASE_STATUS_MATCHERS_H_
#define KEEL_CORE_BASE_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::testing {

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << internal::ToStatus(arg).ToString();
  return arg.ok();
}

MATCHER_P2(StatusIs, code, message_matcher,
           "has code " + ::testing::PrintToString(absl::StatusCode(code)) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message_matcher, negation)) {
  const absl::Status status = internal::ToStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message_matcher, std::string(status.message()),
                                       result_listener);
}

inline auto StatusIs(absl::StatusCode code) { return StatusIs(code, ::testing::_); }

MATCHER_P(IsOkAndHolds, value_matcher, "") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

}  // namespace keel::testing

// In a test's body: fails and returns unless `expr` (a StatusOr) is OK, else puts its value in
// `lhs`.
#define KEEL_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  KEEL_ASSERT_OK_ASSIGN_(KEEL_STATUS_CONCAT_(keel_status_or_, __LINE__), lhs, expr)
#define KEEL_ASSERT_OK_ASSIGN_(var, lhs, expr)      \
  auto var = (expr);                                \
  ASSERT_TRUE(var.ok()) << var.status().ToString(); \
  KEEL_STATUS_UNPAREN_(lhs) = std::move(var).value()

#define KEEL_EXPECT_OK(expr) EXPECT_THAT((expr), ::keel::testing::IsOk())
#define KEEL_ASSERT_OK(expr) ASSERT_THAT((expr), ::keel::testing::IsOk())

#endif  // KEEL_CORE_BASE_STATUS_MATCHERS_H_
