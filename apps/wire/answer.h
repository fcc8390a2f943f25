// How the outputs of a call become one response or a stream of events. What they look like is a
// dialect's.
#ifndef KEEL_APPS_WIRE_ANSWER_H_
#define KEEL_APPS_WIRE_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "apps/wire/call_error.h"
#include "apps/wire/generation.h"

namespace keel::apps {

struct Usage {
  size_t prompt_tokens = 0;
  size_t completion_tokens = 0;
  size_t reasoning_tokens = 0;  // of them
  size_t cached_tokens = 0;
};

// Takes the pieces of a call, all of them by Collect or all by AppendEvents. Used by one thread at a
// time.
class Answer {
 public:
  virtual ~Answer() = default;

  const Usage& usage() const { return usage_; }
  // Why the call failed, once a piece has said so.
  const MaybeError& error() const { return error_; }

  // Not streamed: collect all pieces, then ask for the body if there is no error.
  void Collect(Piece piece);
  virtual std::string Body() = 0;

  // Streamed: server-sent events of a piece; then of the end. After an error nothing is said but the
  // end.
  void AppendEvents(const Piece& piece, std::string* events);
  void AppendEnd(std::string* events);
  // Ends the stream by an error that comes from elsewhere.
  void Fail(CallError error, std::string* events);

 protected:
  // A sequence of a prompt: (prompt, index).
  using SequenceId = std::pair<size_t, uint32_t>;

  // What was collected: each sequence as if it had come in one piece, in order.
  const std::map<SequenceId, Piece>& collected() const { return collected_; }

  // Why a piece that is no error makes the call one.
  virtual MaybeError Refuse(const Piece&) const { return std::nullopt; }
  virtual void AppendPiece(const Piece& piece, std::string* events) = 0;
  virtual void AppendError(const CallError& error, std::string* events) = 0;
  virtual void AppendLast(std::string* events) = 0;

 private:
  void Count(const Piece& piece);

  Usage usage_;
  size_t logprobs_ = 0;  // alternatives included
  MaybeError error_;
  std::map<SequenceId, Piece> collected_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANSWER_H_
