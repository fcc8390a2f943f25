// The engine side of one client's call: a request for each of its prompts, run together.
#ifndef KEEL_APPS_WIRE_GENERATION_H_
#define KEEL_APPS_WIRE_GENERATION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

// The prompt as the engine ran it.
struct PromptTokens {
  std::vector<int32_t> ids;
  // One a token (none for the first), if the request asked for them; else empty.
  std::vector<std::optional<OwnedLogprob>> logprobs;
};

// What one sequence of one prompt produced.
struct Piece {
  size_t prompt = 0;
  uint64_t request = 0;
  OwnedOutput output;
  std::shared_ptr<const PromptTokens>
      prompt_tokens;  // with the first piece of a sequence, else null
};

// Outputs wait here, in order, until the client's side takes them, which the engine is told: it joins
// what comes for a slow side, and pauses requests that are thousands of tokens ahead of it. All
// functions may be called from any thread.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Called on an engine thread when there is something to take; must return soon.
  using Wake = std::function<void()>;

  // Submits all `requests`. On a refusal those already submitted are cancelled. The engine is held
  // until all has come.
  static Result<std::shared_ptr<Generation>> Start(std::shared_ptr<Engine> engine,
                                                   std::vector<Request> requests, Wake wake);
  // The same with an engine that outlives it.
  static Result<std::shared_ptr<Generation>> Start(Engine& engine, std::vector<Request> requests,
                                                   Wake wake) {
    return Start(std::shared_ptr<Engine>(std::shared_ptr<void>(), &engine), std::move(requests),
                 std::move(wake));
  }

  // Moves out what has come since the last call. Returns false once all has come.
  bool Take(std::vector<Piece>* pieces);
  // Ends all requests soon; their last outputs still come.
  void Cancel();

 private:
  struct PrivateTag {};

 public:
  Generation(PrivateTag, std::shared_ptr<Engine> engine, Wake wake)
      : engine_(std::move(engine)), wake_(std::move(wake)) {}

 private:
  void OnOutput(size_t prompt, const Output& output);

  std::shared_ptr<Engine> engine_;  // null once all is taken
  const Wake wake_;
  std::mutex mutex_;
  std::deque<Piece> waiting_;
  std::vector<uint64_t> ids_;
  std::vector<std::vector<bool>> seen_;  // [prompt][sequence]: its first output has come
  size_t running_ = 0;
  bool cancelled_ = false;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_GENERATION_H_
