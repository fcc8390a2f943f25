// Beam search against transformers' (testdata/beam_search.json, by tests/goldens/make_beams.py).
#include <boost/json/parse.hpp>
#include <boost/json/value_to.hpp>
#include <cmath>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

struct Case {
  Ids prompt;
  int64_t width = 0, n = 0, max_tokens = 0;
  double length_penalty = 1, repetition_penalty = 1;
  int64_t early_stopping = 0;
  Ids ends;
  std::vector<Ids> tokens;
  std::vector<double> scores;

  Asked Ask() const {
    Asked out(prompt, max_tokens);
    out.Int("beam_width", width).Int("n", n).Int("early_stopping", early_stopping);
    out.Float("length_penalty", length_penalty).Float("repetition_penalty", repetition_penalty);
    for (const int32_t end : ends) out.Add("stop_token_ids", end);
    return out;
  }
};

std::vector<Case> Goldens() {
  std::ifstream file("tests/engine/testdata/beam_search.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const boost::json::value golden = boost::json::parse(text);
  std::vector<Case> out;
  for (const boost::json::value& value : golden.at("cases").as_array()) {
    const boost::json::object& from = value.as_object();
    Case c;
    c.max_tokens = golden.at("max_new_tokens").to_number<int64_t>();
    c.prompt = boost::json::value_to<Ids>(from.at("prompt"));
    c.width = from.at("num_beams").to_number<int64_t>();
    c.n = from.at("num_return_sequences").to_number<int64_t>();
    c.ends = boost::json::value_to<Ids>(from.at("eos_token_id"));
    if (from.contains("length_penalty"))
      c.length_penalty = from.at("length_penalty").to_number<double>();
    if (from.contains("repetition_penalty"))
      c.repetition_penalty = from.at("repetition_penalty").to_number<double>();
    if (from.contains("early_stopping")) {
      const boost::json::value& early = from.at("early_stopping");
      c.early_stopping = early.is_string() ? 2 : early.as_bool();
    }
    for (const boost::json::value& answer : from.at("texts").as_array()) {
      c.tokens.push_back(boost::json::value_to<Ids>(answer.at("tokens")));
      c.scores.push_back(answer.at("score").to_number<double>());
    }
    out.push_back(std::move(c));
  }
  return out;
}

void ExpectGolden(const Answer& answer, const Case& c) {
  ASSERT_EQ(answer.texts.size(), c.tokens.size());
  EXPECT_EQ(answer.num_last, 1);
  EXPECT_TRUE(answer.status.ok()) << answer.status.message();
  for (uint32_t i = 0; i < c.tokens.size(); ++i) {
    const Text& text = answer[i];
    EXPECT_EQ(text.tokens, c.tokens[i]) << "text " << i;
    const auto length = static_cast<double>(text.tokens.size());
    const double score = text.cumulative_logprob / std::pow(length, c.length_penalty);
    EXPECT_NEAR(score, c.scores[i], 1e-5 * std::max(1.0, std::abs(c.scores[i]))) << "text " << i;
    const bool ended = std::find(c.ends.begin(), c.ends.end(), c.tokens[i].back()) != c.ends.end();
    EXPECT_EQ(text.reason, ended ? "stop" : "length");
    EXPECT_EQ(text.num_ends, 1);
  }
}

TEST(BeamSearchTest, GivesTheTextsAndScoresOfTransformers) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const std::vector<Case> goldens = Goldens();
  ASSERT_GE(goldens.size(), 50u);
  for (size_t i = 0; i < goldens.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectGolden(Ask(*engine, goldens[i].Ask()), goldens[i]);
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(BeamSearchTest, GivesTheSameBesideOthersWithTooFewBlocks) {
  // A search of the longest prompt takes 4 blocks, and 2 more for each of its beams.
  const std::unique_ptr<Engine> engine =
      StartEngine(WithBlocks(14, {{"max-num-batched-tokens", "23"}, {"max-num-seqs", "12"}}));
  const std::vector<Case> goldens = Goldens();
  Client client(*engine);
  for (size_t i = 0; i < goldens.size(); i += 3) {
    const int key = static_cast<int>(i);
    ASSERT_TRUE(client.Start(key, goldens[i].Ask()).ok());
    ASSERT_TRUE(client.Start(-1 - key, Asked(Prompt(key, 1 + key % 40), 20)).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  for (size_t i = 0; i < goldens.size(); i += 3) {
    SCOPED_TRACE(i);
    ExpectGolden(answers[static_cast<int>(i)], goldens[i]);
  }
  EXPECT_GT(Metric(*engine, "vllm:num_preemptions_total"), 20);
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(BeamSearchTest, ServesMoreBeamsThanPlaces) {
  const std::unique_ptr<Engine> engine = StartEngine({{"max-num-seqs", "2"}});
  for (const Case& c : Goldens()) {
    if (c.width < 7) continue;
    ExpectGolden(Ask(*engine, c.Ask()), c);
  }
}

TEST(BeamSearchTest, PreferenceOfTheModelForItsEndCountsUnlessItIsIgnored) {
  const std::unique_ptr<Engine> engine = StartEngine();
  // A bias makes the end token likely.
  const auto with_end = [&](int64_t ignore_eos) {
    Request request;
    EXPECT_TRUE(request.SetPromptTokens(Prompt(3, 9)).ok());
    EXPECT_TRUE(request.SetInt("max_tokens", 12).ok());
    EXPECT_TRUE(request.SetInt("beam_width", 3).ok());
    EXPECT_TRUE(request.SetInt("ignore_eos", ignore_eos).ok());
    EXPECT_TRUE(request.AddLogitBias(2, 100).ok());
    return Ask(*engine, request);
  };
  EXPECT_EQ(with_end(0)[0].reason, "stop");
  EXPECT_EQ(with_end(0)[0].tokens, Ids{2});
  EXPECT_EQ(with_end(1)[0].reason, "length");
  EXPECT_EQ(with_end(1)[0].tokens.size(), 12u);
}

TEST(BeamSearchTest, RefusesByNameWhatItHasNoPartIn) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  const auto refusal = [&](const auto& change) {
    Asked request(Prompt(1, 5), 4);
    change(request.Int("beam_width", 2));
    return client.Start(0, request);
  };
  const auto regex = [](Asked& r) { r.String("structured_regex", "a+"); };
  EXPECT_EQ(refusal(regex).code(), Code::kUnimplemented);
  EXPECT_THAT(refusal(regex).message(), HasSubstr("structured output and beam_width"));
  EXPECT_THAT(refusal([](Asked& r) { r.Int("best_of", 3); }).message(),
              HasSubstr("best_of and beam_width"));
  EXPECT_THAT(refusal([](Asked& r) { r.Int("logprobs", 1); }).message(),
              HasSubstr("logprobs and beam_width"));
  EXPECT_THAT(refusal([](Asked& r) { r.Add("stop", "x"); }).message(),
              HasSubstr("stop strings (use stop_token_ids) and beam_width"));
  EXPECT_THAT(refusal([](Asked& r) { r.Int("n", 3); }).message(),
              HasSubstr("beam_width is 2, expected 3 to 32"));
  EXPECT_THAT(Request().SetInt("beam_width", 33).message(),
              HasSubstr("beam_width is 33, expected 1 to 32"));
}

TEST(BeamSearchTest, CancelledItEndsOnceAndFreesAll) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  ASSERT_TRUE(client.Start(0, Asked(Prompt(1, 30), 400).Int("beam_width", 8).Int("n", 2)).ok());
  client.Cancel(0);
  const Answer answer = client.Wait()[0];
  EXPECT_EQ(answer.num_last, 1);
  for (const auto& [index, text] : answer.texts) EXPECT_EQ(text.reason, "abort") << index;
  EXPECT_TRUE(ComesToRest(*engine));
}

}  // namespace
}  // namespace keel
