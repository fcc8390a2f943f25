// Turns tokens into text and hands outputs to callbacks, on a thread of its own, while the next
// step runs: after a forward nothing that this needs is left in the processor's caches, and
// nobody's callback is the engine's concern.
#ifndef KEEL_CORE_ENGINE_OUTPUT_WORKER_H_
#define KEEL_CORE_ENGINE_OUTPUT_WORKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/trace.h"
#include "core/chat/parsers/output_parser.h"
#include "core/engine/metrics.h"
#include "core/engine/request.h"
#include "core/text/detokenizer.h"

namespace keel {

struct OutputStream;

// The way of a request's outputs. The output thread's, once the request runs.
struct OutputChannel {
  uint64_t request = 0;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  OutputCallback callback;
  bool streams = true;  // false: one output for each sequence, at its end
  size_t keeps = 0;  // only the so many likeliest sequences are given, when all have ended; 0: all
  std::vector<Output> held = {};  // those until then

  // Flow control, of requests that stream. Tokens that may be made and not read before the request
  // pauses; 0: it never does.
  int64_t max_unread = 0;
  int64_t num_held_back =
      0;  // tokens whose outputs are held back, joined, for a reader that is behind
  std::vector<std::weak_ptr<OutputStream>> held_back = {};  // theirs
  bool paused = false;
  // Under the worker's mutex.
  int64_t unread = 0;      // tokens given and not read
  bool is_behind = false;  // the worker wants to know when the reader has caught up
};

// One sequence of it. A fork is a copy.
struct OutputStream {
  std::shared_ptr<OutputChannel> channel;
  IncrementalDetokenizer detokenizer;
  uint32_t index = 0;
  Output pending = {};  // what came since the last output
  bool is_held_back = false;
  absl::Status status = {};                 // of making text
  std::optional<OutputParser> parser = {};  // takes the text apart, if the request wants that
  int64_t undecided_tokens = 0;             // of the reasoning, or of the marker that ends it
};

struct SequenceEnd {
  FinishReason reason = FinishReason::kNone;
  std::string stop_reason = "";
  absl::Status status = {};
  bool is_last = false;                    // of the request's sequences
  std::optional<int32_t> stop_token = {};  // a stop_token_id of the request's that ended it
};

// What a step brought to one sequence.
struct OutputEvent {
  std::shared_ptr<OutputStream> stream;
  absl::InlinedVector<int32_t, 4> tokens = {};
  bool silent_end = false;                  // the last token has no text: it ends the sequence
  std::optional<std::string> text = {};     // made already; unset: that of the tokens
  std::vector<SampledToken> logprobs = {};  // beside tokens, if wanted
  std::vector<SampledToken> prompt_logprobs = {};
  double cumulative_logprob = 0;  // of all tokens so far
  int32_t cached_tokens = 0;
  std::vector<float> vector = {};
  std::optional<SequenceEnd> end = {};  // nothing comes after it
};

// What the engine hears of a request, on the output thread.
struct OutputHooks {
  using Hook = std::function<void(uint64_t request)>;
  Hook no_text;             // its tokens can't be made into text: it should end
  Hook last;                // its last output is about to be given
  Hook too_far_ahead = {};  // of its reader: it should pause
  Hook caught_up = {};      // its reader has: it should go on
};

class OutputWorker {
 public:
  // `trace` may be null.
  OutputWorker(Metrics& metrics, Trace* trace, OutputHooks hooks);
  // Hands over all that was posted.
  ~OutputWorker();

  // Takes the events and leaves the vector empty. Never waits for a reader.
  void Post(std::vector<OutputEvent>& events);

  // The reader of a channel has taken `tokens` of the tokens given. Any thread, and in a callback.
  void Read(const std::shared_ptr<OutputChannel>& channel, int64_t tokens);

 private:
  void Run();
  void Handle(OutputEvent& event);
  absl::Status MakeText(OutputEvent& event);
  absl::StatusOr<std::string> TextOf(OutputEvent& event);
  absl::Status TakeApart(OutputEvent& event);
  void End(OutputStream& stream, SequenceEnd end);
  void Give(OutputChannel& channel, Output output);
  // True if the reader is so far behind that outputs are joined until it has read.
  bool HoldsBack(OutputChannel& channel);
  void CatchUp(OutputChannel& channel);
  void PauseIfTooFar(OutputChannel& channel);

  Metrics& metrics_;
  Trace* const trace_;
  const OutputHooks hooks_;
  absl::Mutex mutex_;
  std::vector<OutputEvent> posted_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<OutputChannel>> caught_up_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_OUTPUT_WORKER_H_
