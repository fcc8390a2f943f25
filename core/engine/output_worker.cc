#include "core/engine/output_worker.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace keel {
namespace {

template <typename From, typename To>
void MoveTo(To& to, From& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// What came since the last output, as an output.
Output TakePending(OutputStream& stream) {
  Output out = std::exchange(stream.pending, Output());
  out.request = stream.channel->request;
  out.index = stream.index;
  out.prompt_tokens = stream.channel->prompt;
  return out;
}

}  // namespace

OutputWorker::OutputWorker(Metrics& metrics, Trace* trace, OutputHooks hooks)
    : metrics_(metrics), trace_(trace), hooks_(std::move(hooks)), thread_([this] { Run(); }) {}

OutputWorker::~OutputWorker() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void OutputWorker::Post(std::vector<OutputEvent>& events) {
  if (events.empty()) return;
  absl::MutexLock lock(&mutex_);
  if (posted_.empty()) {
    posted_.swap(events);
  } else {
    MoveTo(posted_, events);
    events.clear();
  }
}

void OutputWorker::Run() {
  TraceNameThread(trace_, "outputs");
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !posted_.empty();
  };
  std::vector<OutputEvent> events;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (posted_.empty()) return;
      posted_.swap(events);
    }
    const int64_t start = Trace::Now();
    for (OutputEvent& event : events) Handle(event);
    const int64_t end = Trace::Now();
    metrics_.output_seconds.Increment(static_cast<double>(end - start) * 1e-9);
    if (trace_ != nullptr) trace_->Span("outputs", start, end, {{"events", events.size()}});
    events.clear();
  }
}

void OutputWorker::Handle(OutputEvent& event) {
  OutputStream& stream = *event.stream;
  if (stream.status.ok()) MakeText(event);
  Output& pending = stream.pending;
  pending.tokens.insert(pending.tokens.end(), event.tokens.begin(), event.tokens.end());
  MoveTo(pending.logprobs, event.logprobs);
  MoveTo(pending.prompt_logprobs, event.prompt_logprobs);
  pending.cumulative_logprob = event.cumulative_logprob;
  pending.cached_tokens = event.cached_tokens;
  if (event.end.has_value()) return End(stream, *std::move(event.end));
  const bool has_news = !pending.text.empty() || !pending.prompt_logprobs.empty();
  if (stream.channel->streams && stream.channel->keeps == 0 && has_news)
    Give(*stream.channel, TakePending(stream));
}

void OutputWorker::MakeText(OutputEvent& event) {
  OutputStream& stream = *event.stream;
  std::string& text = stream.pending.text;
  if (event.text.has_value()) {
    text += *event.text;
    return;
  }
  const absl::Span<const int32_t> tokens = absl::MakeConstSpan(event.tokens);
  absl::StatusOr<std::string> piece =
      stream.detokenizer.Add(tokens.first(tokens.size() - (event.silent_end ? 1 : 0)));
  if (piece.ok()) text += *piece;
  if (piece.ok() && event.end.has_value()) {
    piece = stream.detokenizer.Flush();
    if (piece.ok()) text += *piece;
  }
  if (piece.ok()) return;
  stream.status = piece.status();
  if (!event.end.has_value()) hooks_.no_text(stream.channel->request);
}

void OutputWorker::End(OutputStream& stream, SequenceEnd end) {
  OutputChannel& channel = *stream.channel;
  Output out = TakePending(stream);
  out.finish_reason = stream.status.ok() ? end.reason : FinishReason::kError;
  out.stop_reason = std::move(end.stop_reason);
  out.stop_token = end.stop_token;
  out.status = stream.status.ok() ? std::move(end.status) : stream.status;
  out.is_last = end.is_last;
  if (channel.keeps == 0) return Give(channel, std::move(out));
  channel.held.push_back(std::move(out));
  if (!end.is_last) return;
  std::vector<Output> best = std::move(channel.held);
  std::stable_sort(best.begin(), best.end(), [](const Output& a, const Output& b) {
    return a.cumulative_logprob > b.cumulative_logprob;
  });
  best.resize(std::min(best.size(), channel.keeps));
  for (size_t i = 0; i < best.size(); ++i) {
    best[i].index = static_cast<uint32_t>(i);
    best[i].is_last = i + 1 == best.size();
    Give(channel, std::move(best[i]));
  }
}

void OutputWorker::Give(OutputChannel& channel, Output output) {
  if (output.is_last) hooks_.last(channel.request);
  channel.callback(std::move(output));
}

}  // namespace keel
