#include "apps/wire/answer.h"

#include <utility>

namespace keel::apps {

void Answer::Count(const Piece& piece) {
  usage_.completion_tokens += piece.output.tokens.size();
  // The n sequences of a prompt share it.
  if (piece.prompt_tokens != nullptr && piece.output.index == 0) {
    usage_.prompt_tokens += piece.output.prompt_tokens;
    usage_.cached_tokens += piece.output.cached_tokens;
  }
  if (!piece.output.status.ok() && !error_.has_value()) error_ = FromEngine(piece.output.status);
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
