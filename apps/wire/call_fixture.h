// The fixture of the tests of a dialect's endpoint: bodies go in, on the fake engine.
#ifndef KEEL_APPS_WIRE_CALL_FIXTURE_H_
#define KEEL_APPS_WIRE_CALL_FIXTURE_H_

#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/testing/mutate.h"
#include "apps/wire/dialect.h"
#include "apps/wire/fields.h"
#include "apps/wire/model_field.h"
#include "apps/wire/run_call.h"
#include "boost/json/value.hpp"
#include "gtest/gtest.h"

namespace keel::apps {

class CallFixture : public ::testing::Test {
 protected:
  explicit CallFixture(ParseCall parse) : CallFixture(parse, Options()) {}
  CallFixture(ParseCall parse, const Options& options)
      : engine_(std::move(Engine::Create(options)).value()), parse_(parse) {}

  MaybeError Parse(const std::string& text, Call* call) {
    boost::json::value body;
    if (MaybeError error = ParseBody(text, &body)) return error;
    CallContext context{.engine = engine_,
                        .model = {},
                        .request_id = "id",
                        .limits = limits_,
                        .incremental_streams = incremental_streams_};
    if (MaybeError error = ReadModelName(body.get_object(), names_, &context.model)) return error;
    return parse_(body.get_object(), context, call);
  }
  CallError ErrorOf(const std::string& body) {
    Call call;
    return Parse(body, &call).value_or(CallError{.message = "no error"});
  }
  boost::json::value Run(const std::string& body) {
    Call call;
    const MaybeError error = Parse(body, &call);
    EXPECT_FALSE(error.has_value()) << error->message;
    return error.has_value() ? boost::json::value() : RunCall(engine_, std::move(call));
  }
  std::vector<boost::json::value> Stream(const std::string& body) {
    Call call;
    const MaybeError error = Parse(body, &call);
    EXPECT_FALSE(error.has_value()) << error->message;
    EXPECT_TRUE(call.stream);
    return error.has_value() ? std::vector<boost::json::value>()
                             : StreamCall(engine_, std::move(call));
  }

  // `good` is taken, and whatever is done to it harms nothing: what is refused is said why, what is
  // not runs.
  void ExpectDamageHarmsNothing(const std::string& good) {
    ASSERT_EQ(ErrorOf(good).message, "no error");
    std::mt19937 random(20261);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    int refused = 0;
    for (int i = 0; i < 100'000 && std::chrono::steady_clock::now() < end; ++i) {
      const std::string body = Mutate(good, random);
      Call call;
      if (const MaybeError error = Parse(body, &call)) {
        ++refused;
        ASSERT_FALSE(error->message.empty()) << body;
      } else if (i % 20 == 0 && !call.stream) {
        RunCall(engine_, std::move(call));
      }
    }
    EXPECT_GT(refused, 100);
  }

  Engine engine_;
  CallLimits limits_;
  bool incremental_streams_ = false;

 private:
  const ParseCall parse_;
  const std::vector<std::string> names_ = {"fake", "alias"};
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_CALL_FIXTURE_H_
