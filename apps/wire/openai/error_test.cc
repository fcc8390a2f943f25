#include "apps/wire/openai/error.h"

#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(OpenAiErrorTest, HasTheShapeThatClientsRead) {
  EXPECT_EQ(OpenAiError(InvalidField("n", "n is 0")),
            boost::json::parse(R"({"error": {"message": "n is 0", "type": "invalid_request_error",
                                             "param": "n", "code": null}})"));
  const CallError missing{
      .code = ErrorCode::kModelNotFound, .message = "no such model", .field = "model"};
  EXPECT_EQ(OpenAiErrorBody(missing).http_status, 404);
  EXPECT_EQ(OpenAiError(missing).at("error").at("code"), "model_not_found");
}

// openai's client repeats a call after each status of 500 and more.
TEST(OpenAiErrorTest, OnlyWhatMayPassIsWorthRepeating) {
  EXPECT_EQ(OpenAiErrorBody(NotServed("audio", "audio is not served")).http_status, 400);
  EXPECT_EQ(OpenAiError(NotServed("audio", "")).at("error").at("code"), "not_implemented");
  EXPECT_EQ(OpenAiErrorBody({.code = ErrorCode::kOverloaded}).http_status, 503);
  EXPECT_EQ(OpenAiErrorBody({.code = ErrorCode::kInternal}).http_status, 500);
}

}  // namespace
}  // namespace keel::apps
