#include "apps/wire/call_error.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

ErrorCode CodeOf(Code code) { return FromEngine(Status(code, "words")).code; }

TEST(CallErrorTest, TheEnginesCodesHaveTheirMeaning) {
  EXPECT_EQ(CodeOf(Code::kInvalidArgument), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOf(Code::kFailedPrecondition), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOf(Code::kUnimplemented), ErrorCode::kNotServed);
  EXPECT_EQ(CodeOf(Code::kResourceExhausted), ErrorCode::kOverloaded);
  EXPECT_EQ(CodeOf(Code::kUnavailable), ErrorCode::kUnavailable);
  EXPECT_EQ(CodeOf(Code::kDataLoss), ErrorCode::kInternal);
  EXPECT_EQ(FromEngine(Status(Code::kInvalidArgument, "words"), "seed").field, "seed");
}

TEST(CallErrorTest, WhatMayPassIsTheServersStatus) {
  for (const ErrorCode code : {ErrorCode::kOverloaded, ErrorCode::kUnavailable}) {
    EXPECT_TRUE(MayTryAgain(code));
    EXPECT_EQ(HttpStatus(code), 503);
  }
  for (const ErrorCode code : {ErrorCode::kInvalid, ErrorCode::kNotServed}) {
    EXPECT_FALSE(MayTryAgain(code));
    EXPECT_EQ(HttpStatus(code), 400);
  }
}

TEST(CallErrorTest, ThePlainFormIsAMessage) {
  const ErrorBody body = PlainError({.code = ErrorCode::kBodyTooLarge, .message = "too long"});
  EXPECT_EQ(body.http_status, 413);
  EXPECT_EQ(body.json, R"({"message":"too long"})");
}

}  // namespace
}  // namespace keel::apps
