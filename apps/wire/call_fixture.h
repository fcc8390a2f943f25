// The fixture of the tests of a dialect's endpoint: bodies go in, on the fake engine.
#ifndef KEEL_APPS_WIRE_CALL_FIXTURE_H_
#define KEEL_APPS_WIRE_CALL_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

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
    CallContext context{.engine = engine_, .model = {}, .request_id = "id", .limits = limits_};
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

  Engine engine_;
  CallLimits limits_;

 private:
  const ParseCall parse_;
  const std::vector<std::string> names_ = {"fake", "alias"};
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_CALL_FIXTURE_H_
