#include "apps/wire/answer.h"

#include <string>
#include <utility>

namespace keel::apps {
namespace {

// Of one answer, some 60 bytes each.
constexpr size_t kMaxLogprobs = 1'000'000;

size_t CountLogprobs(const Piece& piece, bool has_prompt) {
  size_t n = 0;
  for (const OwnedLogprob& logprob : piece.output.logprobs) n += 1 + logprob.top_tokens.size();
  if (!has_prompt) return n;
  for (const auto& logprob : piece.prompt_tokens->logprobs) {
    if (logprob.has_value()) n += 1 + logprob->top_tokens.size();
  }
  return n;
}

}  // namespace

void Answer::Count(const Piece& piece) {
  usage_.completion_tokens += piece.output.tokens.size();
  usage_.reasoning_tokens += piece.output.reasoning_tokens;
  // The n sequences of a prompt share it.
  if (piece.prompt_tokens != nullptr && piece.output.index == 0) {
    usage_.prompt_tokens += piece.output.prompt_tokens;
    usage_.cached_tokens += piece.output.cached_tokens;
  }
  logprobs_ += CountLogprobs(piece, piece.prompt_tokens != nullptr);
  if (error_.has_value()) return;
  if (!piece.output.status.ok()) {
    error_ = FromEngine(piece.output.status);
  } else if (logprobs_ > kMaxLogprobs) {
    error_ = InvalidField("logprobs", "the answer has more than " + std::to_string(kMaxLogprobs) +
                                          " log-probabilities; ask for fewer alternatives, "
                                          "tokens or prompts");
  } else {
    error_ = Refuse(piece);
  }
}

void Answer::Collect(Piece piece) {
  Count(piece);
  const SequenceId id(piece.prompt, piece.output.index);
  auto [it, is_new] = collected_.try_emplace(id);
  if (is_new) {
    it->second = std::move(piece);
  } else {
    it->second.output.Append(std::move(piece.output));
  }
}

void Answer::AppendEvents(const Piece& piece, std::string* events) {
  if (error_.has_value()) return;
  Count(piece);
  if (error_.has_value()) {
    AppendError(*error_, events);
  } else {
    AppendPiece(piece, events);
  }
}

void Answer::AppendEnd(std::string* events) { AppendLast(events); }

void Answer::Fail(CallError error, std::string* events) {
  if (error_.has_value()) return;
  error_ = std::move(error);
  AppendError(*error_, events);
}

}  // namespace keel::apps
