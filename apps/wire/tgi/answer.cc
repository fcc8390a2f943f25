#include "apps/wire/tgi/answer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "apps/wire/tgi/error.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Without a space after the colon, as clients of the protocol look for it.
void AppendEvent(const json::object& data, std::string* events) {
  events->append("data:").append(json::serialize(data)).append("\n\n");
}

const char* FinishReason(const OwnedOutput& output) {
  if (output.finish_reason == "length") return "length";
  return output.stop_reason.empty() || output.stop_token.has_value() ? "eos_token"
                                                                     : "stop_sequence";
}

json::value Seed(const std::optional<int64_t>& seed) {
  return seed.has_value() ? json::value(*seed) : json::value();
}

const OwnedLogprob* LogprobOf(const OwnedOutput& output, size_t i) {
  return i < output.logprobs.size() ? &output.logprobs[i] : nullptr;
}

double MeanLogprob(const OwnedOutput& output) {
  double sum = 0;
  for (const OwnedLogprob& logprob : output.logprobs) sum += FiniteLogprob(logprob.logprob);
  return output.logprobs.empty() ? 0 : sum / static_cast<double>(output.logprobs.size());
}

}  // namespace

json::object TgiAnswer::Token(int32_t id, const OwnedLogprob* logprob,
                              std::optional<std::string> text) {
  const TokenText& token = texts_.Get(id);
  return {{"id", id},
          {"text", std::move(text).value_or(token.text)},
          {"logprob",
           logprob == nullptr ? json::value() : json::value(FiniteLogprob(logprob->logprob))},
          {"special", token.special}};
}

json::array TgiAnswer::TopTokens(const OwnedLogprob& logprob) {
  json::array all;
  for (size_t i = 0; i < logprob.top_tokens.size(); ++i) {
    json::object token = Token(logprob.top_tokens[i], nullptr);
    token["logprob"] = FiniteLogprob(logprob.top_logprobs[i]);
    all.push_back(std::move(token));
  }
  return all;
}

json::object TgiAnswer::Details(const Piece& whole) {
  const OwnedOutput& output = whole.output;
  json::object details = {{"finish_reason", FinishReason(output)},
                          {"generated_tokens", output.tokens.size()},
                          {"seed", Seed(options_.seed)}};
  json::array& prefill = details["prefill"].emplace_array();
  if (options_.prefill && whole.prompt_tokens != nullptr) {
    const PromptTokens& prompt = *whole.prompt_tokens;
    for (size_t i = 0; i < prompt.ids.size(); ++i) {
      const bool has = i < prompt.logprobs.size() && prompt.logprobs[i].has_value();
      json::object token = Token(prompt.ids[i], has ? &*prompt.logprobs[i] : nullptr);
      token.erase("special");
      prefill.push_back(std::move(token));
    }
  }
  json::array& tokens = details["tokens"].emplace_array();
  for (size_t i = 0; i < output.tokens.size(); ++i)
    tokens.push_back(Token(output.tokens[i], LogprobOf(output, i)));
  if (options_.top_tokens) {
    json::array& top = details["top_tokens"].emplace_array();
    for (const OwnedLogprob& logprob : output.logprobs) top.push_back(TopTokens(logprob));
  }
  return details;
}

json::object TgiAnswer::Sequence(const Piece& whole) {
  json::object sequence = Details(whole);
  sequence["generated_text"] = options_.prefix + whole.output.text;
  return sequence;
}

std::string TgiAnswer::Body() {
  std::vector<const Piece*> sequences;
  for (const auto& [id, whole] : collected()) sequences.push_back(&whole);
  // Of several, the likeliest by its tokens' mean.
  std::stable_sort(sequences.begin(), sequences.end(), [](const Piece* a, const Piece* b) {
    return MeanLogprob(a->output) > MeanLogprob(b->output);
  });
  const Piece& best = *sequences.front();
  json::object response = {{"generated_text", options_.prefix + best.output.text}};
  if (options_.details) {
    json::object details = Details(best);
    if (sequences.size() > 1) {
      json::array& others = details["best_of_sequences"].emplace_array();
      for (size_t i = 1; i < sequences.size(); ++i) others.push_back(Sequence(*sequences[i]));
    }
    response["details"] = std::move(details);
  }
  return options_.in_list ? json::serialize(json::array{std::move(response)})
                          : json::serialize(response);
}

// The texts of a piece's tokens: all of the piece's goes with the last that is not special. Special
// ones have their own, which clients leave out.
std::vector<std::string> TgiAnswer::TokenTextsOf(const OwnedOutput& output) {
  std::vector<std::string> all;
  size_t speaker = output.tokens.size();
  for (size_t i = 0; i < output.tokens.size(); ++i) {
    const TokenText& token = texts_.Get(output.tokens[i]);
    all.push_back(token.special ? token.text : "");
    if (!token.special) speaker = i;
  }
  if (speaker < all.size()) {
    all[speaker] = output.text;
  } else if (!output.text.empty() && !all.empty()) {
    all.back() = output.text;
  }
  return all;
}

// An event a token.
void TgiAnswer::AppendPiece(const Piece& piece, std::string* events) {
  const OwnedOutput& output = piece.output;
  text_ += output.text;
  std::vector<std::string> texts = TokenTextsOf(output);
  std::vector<json::object> all;
  for (size_t i = 0; i < texts.size(); ++i) {
    const OwnedLogprob* logprob = LogprobOf(output, i);
    all.push_back({{"index", ++num_tokens_},
                   {"token", Token(output.tokens[i], logprob, std::move(texts[i]))},
                   {"generated_text", nullptr},
                   {"details", nullptr}});
    if (options_.top_tokens && logprob != nullptr) all.back()["top_tokens"] = TopTokens(*logprob);
  }
  if (!output.finish_reason.empty()) {
    if (all.empty()) {  // the end came without a token
      const json::object token = {
          {"id", 0}, {"text", output.text}, {"logprob", 0}, {"special", false}};
      all.push_back({{"index", num_tokens_}, {"token", token}, {"details", nullptr}});
    }
    all.back()["generated_text"] = options_.prefix + text_;
    if (options_.details) {
      all.back()["details"] = {{"finish_reason", FinishReason(output)},
                               {"generated_tokens", num_tokens_},
                               {"seed", Seed(options_.seed)},
                               {"input_length", usage().prompt_tokens}};
    }
  }
  for (const json::object& event : all) AppendEvent(event, events);
}

void TgiAnswer::AppendError(const CallError& error, std::string* events) {
  AppendEvent(TgiError(error), events);
}

}  // namespace keel::apps
