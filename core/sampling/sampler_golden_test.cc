// The sampler beside what transformers' processors made of the same logits (tests/goldens/make_sampling.py).
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/safetensors.h"
#include "core/sampling/beam_candidates.h"
#include "core/sampling/sampler.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kVocab = 1111;
constexpr char kGoldens[] = "core/sampling/testdata/processors";

// Rows of a golden tensor.
template <typename T>
std::vector<T> RowOf(const SafetensorsFile& file, absl::string_view name, int64_t row) {
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

struct Goldens {
  boost::json::value about;
  SafetensorsFile file;

  static absl::StatusOr<Goldens> Open() {
    KEEL_ASSIGN_OR_RETURN(const std::string text,
                          ReadFile(absl::StrCat(kGoldens, ".json"), 1 << 20));
    KEEL_ASSIGN_OR_RETURN(boost::json::value about, ParseJson(text, "processors.json"));
    KEEL_ASSIGN_OR_RETURN(SafetensorsFile file,
                          SafetensorsFile::Open(absl::StrCat(kGoldens, ".safetensors")));
    return Goldens{std::move(about), std::move(file)};
  }
};

// A row of a case, and what transformers made of it.
struct Example {
  std::vector<float> logits, expected;  // expected: -infinity for removed tokens
  std::vector<int32_t> tokens;
};

std::vector<Example> ExamplesOf(const SafetensorsFile& file, const boost::json::object& c) {
  const std::string logits(c.at("logits").as_string()), output(c.at("output").as_string());
  std::vector<Example> out;
  for (int64_t row = 0; row < file.Find(logits)->shape[0]; ++row) {
    Example& e = out.emplace_back();
    e.logits = RowOf<float>(file, logits, row);
    const auto ids = RowOf<int64_t>(file, std::string(c.at("tokens").as_string()), row);
    e.tokens.assign(ids.begin(), ids.end());
    if (file.Find(output)->dtype == DType::kU8) {
      const std::vector<uint8_t> kept = RowOf<uint8_t>(file, output, row);
      e.expected = e.logits;
      for (size_t i = 0; i < kept.size(); ++i) {
        if (kept[i] == 0) e.expected[i] = -INFINITY;
      }
    } else {
      e.expected = RowOf<float>(file, output, row);
    }
  }
  return out;
}

std::vector<int32_t> Tokens(const boost::json::object& c, const char* key) {
  std::vector<int32_t> out;
  if (!c.contains(key)) return out;
  for (const auto& token : c.at(key).as_array()) out.push_back(token.to_number<int32_t>());
  return out;
}

std::vector<uint32_t> MaskOf(const std::vector<int32_t>& tokens) {
  std::vector<uint32_t> mask(tokens.empty() ? 0 : (kVocab + 31) / 32);
  for (const int32_t token : tokens) mask[token / 32] |= 1u << (token % 32);
  return mask;
}

void ExpectScores(const std::vector<float>& scores, const std::vector<float>& expected) {
  for (size_t i = 0; i < scores.size(); ++i) {
    ASSERT_EQ(std::isfinite(scores[i]), std::isfinite(expected[i])) << "token " << i;
    if (!std::isfinite(scores[i])) continue;
    ASSERT_NEAR(scores[i], expected[i], 1e-5 * std::max(1.0f, std::abs(expected[i])))
        << "token " << i;
  }
}

TEST(SamplerGoldenTest, EqualsTransformersProcessors) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Goldens goldens, Goldens::Open());
  const auto prompt_length = goldens.about.at("prompt_length").to_number<size_t>();
  const std::vector<int32_t> ends = Tokens(goldens.about.as_object(), "end_tokens");
  int checked = 0;
  for (const boost::json::value& value : goldens.about.at("cases").as_array()) {
    const boost::json::object& c = value.as_object();
    // Not parameters of a request here.
    if (c.contains("no_repeat_ngram_size") || c.contains("logprobs") || c.contains("beam"))
      continue;
    SCOPED_TRACE(boost::json::serialize(c));
    const std::vector<int32_t> allowed = Tokens(c, "allowed");
    // Which of some equal tokens top_p drops is left to an unstable sort there: compare without their names.
    const bool nameless = c.contains("top_p") && c.at("logits").as_string().ends_with("ties");
    for (Example e : ExamplesOf(goldens.file, c)) {
      SamplingParams params = ParamsOf(c);
      std::vector<float> scores = e.logits;
      After(params, e.tokens, prompt_length, ends).Process(absl::MakeSpan(scores), MaskOf(allowed));
      const std::vector<float> by_mask = scores;
      if (nameless) std::sort(scores.begin(), scores.end());
      if (nameless) std::sort(e.expected.begin(), e.expected.end());
      ExpectScores(scores, e.expected);
      params.allowed_token_ids = allowed;
      scores = e.logits;
      After(params, e.tokens, prompt_length, ends).Process(absl::MakeSpan(scores));
      EXPECT_EQ(scores, by_mask);
    }
    ++checked;
  }
  EXPECT_GE(checked, 120);
}

TEST(SamplerGoldenTest, BeamCandidatesAreTheBestOfTransformersScores) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Goldens goldens, Goldens::Open());
  const auto prompt_length = goldens.about.at("prompt_length").to_number<size_t>();
  const std::vector<int32_t> ends = Tokens(goldens.about.as_object(), "end_tokens");
  int checked = 0;
  for (const boost::json::value& value : goldens.about.at("cases").as_array()) {
    const boost::json::object& c = value.as_object();
    if (!c.contains("beam")) continue;
    SCOPED_TRACE(boost::json::serialize(c));
    SamplingParams params = ParamsOf(c);
    params.temperature = 0.3, params.top_k = 2;  // play no part
    for (const Example& e : ExamplesOf(goldens.file, c)) {
      for (const int64_t k : {1, 4, 300}) {
        std::vector<float> logits = e.logits, best = e.expected;
        const auto found = BeamCandidates(After(params, e.tokens, prompt_length, ends),
                                          absl::MakeSpan(logits), k, MaskOf(Tokens(c, "allowed")))
                               .value();
        std::erase_if(best, [](float score) { return !std::isfinite(score); });
        std::sort(best.rbegin(), best.rend());
        ASSERT_EQ(found.size(), std::min(best.size(), static_cast<size_t>(k)));
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_NEAR(found[i].second, best[i], 1e-5 * std::abs(best[i])) << "rank " << i;
          EXPECT_NEAR(found[i].second, e.expected[found[i].first], 1e-5 * std::abs(best[i]));
          EXPECT_TRUE(i == 0 || found[i - 1].second > found[i].second ||
                      found[i - 1].first < found[i].first);
        }
      }
    }
    ++checked;
  }
  EXPECT_GE(checked, 10);
}

}  // namespace
}  // namespace keel
