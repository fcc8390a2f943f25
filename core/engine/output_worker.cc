#include "core/engine/output_worker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/status.h"

namespace keel {
namespace {

template <typename From, typename To>
void MoveTo(To& to, From& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// A reader that has so many tokens to read gets what follows joined, one output a sequence.
constexpr int64_t kJoinFrom = 64;

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

void OutputWorker::Read(const std::shared_ptr<OutputChannel>& channel, int64_t tokens) {
  absl::MutexLock lock(&mutex_);
  channel->unread = std::max<int64_t>(channel->unread - tokens, 0);
  if (!channel->is_behind || channel->unread >= kJoinFrom) return;
  channel->is_behind = false;
  caught_up_.push_back(channel);
}

void OutputWorker::Run() {
  TraceNameThread(trace_, "outputs");
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !posted_.empty() || !caught_up_.empty();
  };
  std::vector<OutputEvent> events;
  std::vector<std::shared_ptr<OutputChannel>> caught_up;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (posted_.empty() && caught_up_.empty()) return;
      posted_.swap(events);
      caught_up_.swap(caught_up);
    }
    const int64_t start = Trace::Now();
    for (const auto& channel : caught_up) CatchUp(*channel);
    caught_up.clear();
    for (OutputEvent& event : events) Handle(event);
    const int64_t end = Trace::Now();
    metrics_.output_seconds.Increment(static_cast<double>(end - start) * 1e-9);
    if (trace_ != nullptr) trace_->Span("outputs", start, end, {{"events", events.size()}});
    events.clear();
  }
}

void OutputWorker::Handle(OutputEvent& event) {
  OutputStream& stream = *event.stream;
  if (stream.status.ok()) {
    stream.status = MakeText(event);
    if (!stream.status.ok() && !event.end.has_value()) hooks_.no_text(stream.channel->request);
  }
  Output& pending = stream.pending;
  pending.tokens.insert(pending.tokens.end(), event.tokens.begin(), event.tokens.end());
  MoveTo(pending.logprobs, event.logprobs);
  MoveTo(pending.prompt_logprobs, event.prompt_logprobs);
  pending.cumulative_logprob = event.cumulative_logprob;
  pending.cached_tokens = event.cached_tokens;
  pending.vector = std::move(event.vector);
  if (event.end.has_value()) return End(stream, *std::move(event.end));
  OutputChannel& channel = *stream.channel;
  const bool has_news =
      !pending.text.empty() || !pending.parts.empty() || !pending.prompt_logprobs.empty();
  if (!channel.streams || channel.keeps > 0 || !has_news) return;
  if (!HoldsBack(channel)) return Give(channel, TakePending(stream));
  if (!stream.is_held_back) channel.held_back.push_back(event.stream);
  stream.is_held_back = true;
  channel.num_held_back += static_cast<int64_t>(event.tokens.size());
  PauseIfTooFar(channel);
}

bool OutputWorker::HoldsBack(OutputChannel& channel) {
  if (channel.max_unread == 0) return false;
  absl::MutexLock lock(&mutex_);
  if (channel.unread < kJoinFrom) return false;
  channel.is_behind = true;
  return true;
}

void OutputWorker::CatchUp(OutputChannel& channel) {
  const std::vector<std::weak_ptr<OutputStream>> streams = std::move(channel.held_back);
  channel.held_back.clear();
  channel.num_held_back = 0;
  for (const std::weak_ptr<OutputStream>& held : streams) {
    const std::shared_ptr<OutputStream> stream = held.lock();
    if (stream == nullptr || !stream->is_held_back) continue;
    stream->is_held_back = false;
    Give(channel, TakePending(*stream));
  }
  if (!channel.paused) return;
  {
    absl::MutexLock lock(&mutex_);
    // What was joined may be more than the reader takes at once: then it goes on when that is read.
    channel.is_behind = channel.unread >= kJoinFrom;
    if (channel.is_behind) return;
  }
  channel.paused = false;
  if (hooks_.caught_up) hooks_.caught_up(channel.request);
}

void OutputWorker::PauseIfTooFar(OutputChannel& channel) {
  if (channel.max_unread == 0 || channel.paused) return;
  {
    absl::MutexLock lock(&mutex_);
    if (channel.unread + channel.num_held_back < channel.max_unread) return;
    channel.is_behind = true;
  }
  channel.paused = true;
  if (hooks_.too_far_ahead) hooks_.too_far_ahead(channel.request);
}

absl::StatusOr<std::string> OutputWorker::TextOf(OutputEvent& event) {
  if (event.text.has_value()) return *std::move(event.text);
  IncrementalDetokenizer& detokenizer = event.stream->detokenizer;
  const absl::Span<const int32_t> tokens = absl::MakeConstSpan(event.tokens);
  KEEL_ASSIGN_OR_RETURN(std::string text,
                        detokenizer.Add(tokens.first(tokens.size() - (event.silent_end ? 1 : 0))));
  if (!event.end.has_value()) return text;
  KEEL_ASSIGN_OR_RETURN(const std::string rest, detokenizer.Flush());
  return text + rest;
}

absl::Status OutputWorker::MakeText(OutputEvent& event) {
  if (event.stream->parser.has_value()) return TakeApart(event);
  KEEL_ASSIGN_OR_RETURN(const std::string text, TextOf(event));
  event.stream->pending.text += text;
  return absl::OkStatus();
}

// Token by token, to count those of the reasoning.
absl::Status OutputWorker::TakeApart(OutputEvent& event) {
  OutputStream& stream = *event.stream;
  Output& pending = stream.pending;
  OutputParser& parser = *stream.parser;
  std::vector<OutputPart> parts;
  const auto count = [&] {
    pending.reasoning_tokens += stream.undecided_tokens;
    metrics_.reasoning_tokens.Increment(static_cast<double>(stream.undecided_tokens));
    stream.undecided_tokens = 0;
  };
  const auto take = [&](absl::string_view text, size_t tokens) {
    if (parser.is_reasoning()) stream.undecided_tokens += static_cast<int64_t>(tokens);
    parser.Add(text, &parts);
    if (!parser.is_reasoning()) {
      stream.undecided_tokens = 0;  // they were the marker
    } else if (!parser.is_uncertain()) {
      count();
    }
  };
  const size_t num_tokens = event.tokens.size() - (event.silent_end ? 1 : 0);
  if (event.text.has_value()) {
    take(*event.text, num_tokens);
  } else {
    for (size_t i = 0; i < num_tokens; ++i) {
      KEEL_ASSIGN_OR_RETURN(const std::string text, stream.detokenizer.Add(event.tokens[i]));
      take(text, 1);
    }
  }
  if (event.end.has_value()) {
    if (!event.text.has_value()) {
      KEEL_ASSIGN_OR_RETURN(const std::string rest, stream.detokenizer.Flush());
      take(rest, 0);
    }
    parser.Finish(&parts);
    count();
  }
  for (const OutputPart& part : parts) {
    if (part.kind == OutputPart::Kind::kText) pending.text += part.text;
    AddPart(part.kind, part.text, &pending.parts);
  }
  return absl::OkStatus();
}

void OutputWorker::End(OutputStream& stream, SequenceEnd end) {
  OutputChannel& channel = *stream.channel;
  stream.is_held_back = false;
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
  const bool is_last = output.is_last;
  if (channel.max_unread > 0) {
    absl::MutexLock lock(&mutex_);
    channel.unread += static_cast<int64_t>(output.tokens.size());
  }
  channel.callback(std::move(output));
  if (!is_last) PauseIfTooFar(channel);
}

}  // namespace keel
