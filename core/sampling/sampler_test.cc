#include "core/sampling/sampler.h"

#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kRows = 8, kVocab = 200;
constexpr char kGoldens[] = "core/sampling/testdata/processors";

// Rows of a golden tensor.
template <typename T>
std::vector<T> Row(const SafetensorsFile& file, absl::string_view name, int64_t row) {
  const TensorView* tensor = file.Find(name);
  EXPECT_NE(tensor, nullptr) << name;
  const int64_t size = tensor->shape[1];
  std::vector<T> out(static_cast<size_t>(size));
  std::memcpy(out.data(), tensor->data + row * size * static_cast<int64_t>(sizeof(T)),
              out.size() * sizeof(T));
  return out;
}

SamplingParams ParamsOf(const boost::json::object& c) {
  SamplingParams p;
  const auto number = [&](const char* key, double dflt) {
    return c.contains(key) ? c.at(key).to_number<double>() : dflt;
  };
  p.temperature = number("temperature", 1);
  p.top_k = static_cast<int64_t>(number("top_k", 0));
  p.top_p = number("top_p", 1);
  p.min_p = number("min_p", 0);
  p.typical_p = number("typical_p", 1);
  p.repetition_penalty = number("repetition_penalty", 1);
  p.presence_penalty = number("presence_penalty", 0);
  p.frequency_penalty = number("frequency_penalty", 0);
  p.min_tokens = static_cast<int64_t>(number("min_tokens", 0));
  if (c.contains("logit_bias")) {
    for (const auto& pair : c.at("logit_bias").as_array()) {
      p.logit_bias.emplace_back(pair.at(0).to_number<int32_t>(), pair.at(1).to_number<double>());
    }
  }
  if (c.contains("bad_words")) {
    for (const auto& word : c.at("bad_words").as_array()) {
      p.bad_words.emplace_back();
      for (const auto& token : word.as_array())
        p.bad_words.back().push_back(token.to_number<int32_t>());
    }
  }
  return p;
}

// A sampler that has seen `tokens`, of which the first `prompt_length` are the prompt.
SequenceSampler After(const SamplingParams& params, const std::vector<int32_t>& tokens,
                      size_t prompt_length, const std::vector<int32_t>& ends) {
  const size_t n = std::min(prompt_length, tokens.size());
  SequenceSampler sampler(params, absl::MakeConstSpan(tokens).first(n), ends, kVocab);
  for (size_t i = n; i < tokens.size(); ++i) sampler.Observe(tokens[i]);
  return sampler;
}

TEST(SamplerTest, EqualsTransformersProcessors) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text,
                            ReadFile(std::string(kGoldens) + ".json", 1 << 20));
  KEEL_ASSERT_OK_AND_ASSIGN(const boost::json::value goldens, ParseJson(text, "processors.json"));
  KEEL_ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                            SafetensorsFile::Open(std::string(kGoldens) + ".safetensors"));
  const auto prompt_length = goldens.at("prompt_length").to_number<size_t>();
  std::vector<int32_t> ends;
  for (const auto& token : goldens.at("end_tokens").as_array())
    ends.push_back(token.to_number<int32_t>());
  int checked = 0;
  for (const boost::json::value& value : goldens.at("cases").as_array()) {
    const boost::json::object& c = value.as_object();
    // Not parameters of a request here.
    if (c.contains("no_repeat_ngram_size") || c.contains("logprobs")) continue;
    SCOPED_TRACE(boost::json::serialize(c));
    const std::string output(c.at("output").as_string());
    const bool flags = file.Find(output)->dtype == DType::kU8;
    for (int64_t row = 0; row < kRows; ++row) {
      std::vector<float> scores = Row<float>(file, std::string(c.at("logits").as_string()), row);
      const std::vector<float> logits = scores;
      const std::vector<int64_t> ids =
          Row<int64_t>(file, std::string(c.at("tokens").as_string()), row);
      After(ParamsOf(c), {ids.begin(), ids.end()}, prompt_length, ends)
          .Process(absl::MakeSpan(scores));
      const std::vector<uint8_t> kept =
          flags ? Row<uint8_t>(file, output, row) : std::vector<uint8_t>();
      const std::vector<float> expected =
          flags ? std::vector<float>() : Row<float>(file, output, row);
      for (int64_t i = 0; i < kVocab; ++i) {
        const bool stays = flags ? kept[i] != 0 : std::isfinite(expected[i]);
        // A token that came in as -infinity is gone either way.
        ASSERT_EQ(std::isfinite(scores[i]), stays && std::isfinite(logits[i]))
            << "row " << row << ", token " << i;
        if (!std::isfinite(scores[i])) continue;
        const float want = flags ? logits[i] : expected[i];
        ASSERT_NEAR(scores[i], want, 1e-5 * std::max(1.0f, std::abs(want)))
            << "row " << row << ", token " << i;
      }
    }
    ++checked;
  }
  EXPECT_GE(checked, 90);
}

TEST(SamplerTest, LogprobsAreALogSoftmaxOfTheRawLogitsBestFirst) {
  const std::vector<float> logits = {1, 3, 2, 3};
  const SampledToken token = ReportLogprobs(logits, 2, 3);
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
  EXPECT_NEAR(token.logprob, 2 - std::log(sum), 1e-6);
  EXPECT_THAT(token.top_tokens, ElementsAre(1, 3, 2));
}

std::vector<int32_t> Tokens(SequenceSampler sampler, int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) {
    std::vector<float> logits(50);
    for (size_t j = 0; j < logits.size(); ++j)
      logits[j] = static_cast<float>(std::sin(static_cast<double>(j * (i + 1))));
    out.push_back(sampler.Sample(absl::MakeSpan(logits)).token);
  }
  return out;
}

TEST(SamplerTest, ASeedIsAStreamAndACopyGoesOnWithIt) {
  SamplingParams params;
  params.seed = 7;
  const SequenceSampler sampler(params, {}, {}, 50);
  EXPECT_EQ(Tokens(sampler, 30), Tokens(sampler, 30));
  params.seed = 8;
  EXPECT_NE(Tokens(sampler, 30), Tokens(SequenceSampler(params, {}, {}, 50), 30));
}

TEST(SamplerTest, DrawsInProportionToTheProbabilities) {
  SamplingParams params;
  params.seed = 1;
  SequenceSampler sampler(params, {}, {}, 3);
  int counts[3] = {};
  for (int i = 0; i < 30000; ++i) {
    std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(3.0f)};
    ++counts[sampler.Sample(absl::MakeSpan(logits)).token];
  }
  EXPECT_NEAR(counts[0], 5000, 300);
  EXPECT_NEAR(counts[1], 10000, 300);
  EXPECT_NEAR(counts[2], 15000, 300);
}

TEST(SamplerTest, GreedyTakesTheLowestIdAmongTheBest) {
  SamplingParams params;
  params.temperature = 0;
  SequenceSampler sampler(params, {}, {}, 4);
  std::vector<float> logits = {1, 5, 2, 5};
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits)).token, 1);
}

TEST(SamplerTest, RowsWithoutASenseStillGiveAToken) {
  for (const double temperature : {0.0, 1.0}) {
    SamplingParams params;
    params.temperature = temperature;
    SequenceSampler sampler(params, {}, {}, 3);
    std::vector<float> nan = {NAN, 2, NAN}, none = {-INFINITY, -INFINITY, NAN};
    EXPECT_EQ(sampler.Sample(absl::MakeSpan(nan)).token, 1);
    const int32_t token = sampler.Sample(absl::MakeSpan(none)).token;
    EXPECT_TRUE(token >= 0 && token < 3);
  }
}

TEST(SamplerTest, AMaskLeavesItsTokensOnly) {
  SamplingParams params;
  params.temperature = 0;
  SequenceSampler sampler(params, {}, {}, 40);
  std::vector<float> logits(40);
  std::iota(logits.begin(), logits.end(), 0.0f);
  const std::vector<uint32_t> mask = {1u << 5, 1u << 2};
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits), mask).token, 34);
}

TEST(SamplingParamsTest, NamesTheParameterAndItsRange) {
  SamplingParams params;
  params.top_p = 1.5;
  EXPECT_THAT(CheckSamplingParams(params, 10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "top_p is 1.5, expected more than 0, at most 1"));
  params.top_p = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(CheckSamplingParams(params, 10).ok());
  params = {};
  params.logit_bias = {{12, 1}};
  EXPECT_THAT(CheckSamplingParams(params, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                                        HasSubstr("token id 12, expected 0 to 9")));
}

}  // namespace
}  // namespace keel
