#include "apps/wire/openai/logprobs.h"

#include <string>
#include <utility>

#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

std::string ErrorOf(const char* body, CallLimits limits) {
  const json::value value = json::parse(body);
  Fields fields(value.get_object());
  ReadNumLogprobs(fields, "logprobs", limits);
  return fields.ok() ? "" : fields.error()->message;
}

TEST(LogprobsTest, NoMoreThanAllowed) {
  EXPECT_EQ(ErrorOf(R"({"logprobs": 20})", {}), "");
  EXPECT_EQ(ErrorOf("{}", {}), "");
  EXPECT_EQ(ErrorOf(R"({"logprobs": 21})", {}),
            "logprobs is 21, expected 0 to 20 (--max-logprobs)");
  EXPECT_EQ(ErrorOf(R"({"logprobs": -1})", {}),
            "logprobs is -1, expected 0 to 20 (--max-logprobs)");
  EXPECT_EQ(ErrorOf(R"({"logprobs": 4096})", {.max_logprobs = -1}), "");
}

TEST(LogprobsTest, OfAPromptAsVllmWritesThem) {
  const Engine engine = std::move(Engine::Create(Options())).value();
  TokenTexts texts(engine);
  PromptTokens prompt;
  prompt.ids = {97, 98, 99};
  OwnedLogprob second, third;
  second.logprob = -0.5F;
  second.top_tokens = {98, 120};
  second.top_logprobs = {-0.5F, -1.5F};
  third.logprob = -2;
  third.top_tokens = {121};
  third.top_logprobs = {-0.25F};
  prompt.logprobs = {std::nullopt, second, third};
  EXPECT_EQ(json::value(PromptLogprobs(prompt, texts)), json::parse(R"([null,
      {"98": {"logprob": -0.5, "rank": 1, "decoded_token": "b"},
       "120": {"logprob": -1.5, "rank": 2, "decoded_token": "x"}},
      {"121": {"logprob": -0.25, "rank": 1, "decoded_token": "y"},
       "99": {"logprob": -2.0, "rank": null, "decoded_token": "c"}}])"));
}

}  // namespace
}  // namespace keel::apps
