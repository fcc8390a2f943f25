#include "apps/bench/interference.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <string>
#include <utility>

#include "apps/bench/tracker.h"

namespace keel::apps {
namespace {

constexpr auto kPause = std::chrono::milliseconds(20);
// The engine gives no output before there is text, and some tokens have none. Streams that have had
// no output when another had this many tokens are not waited for any longer.
constexpr size_t kPatience = 256;

using AllTimes = std::deque<TokenTimes>;

// The streams, which are the first requests of a tracker, and the long prompts after them.
class Run {
 public:
  Run(Bench& bench, const InterferenceLoad& load)
      : bench_(bench), load_(load), tracker_(bench.engine) {}

  Status StartStreams();
  // Until each stream decodes. Only gaps from then on count.
  Status WaitForFirstTokens();
  // Until half of the streams have had new_tokens more: the others are as far, or quiet.
  Status WaitForNewTokens(const std::string& label);
  // Runs one long prompt beside the streams.
  Status RunLongPrompt();

  Result<Interference> Finish();

 private:
  template <typename Reached>
  Status WaitUntil(const std::string& label, const Reached& reached);

  Bench& bench_;
  const InterferenceLoad& load_;
  Tracker tracker_;
  Clock::time_point steady_;
  std::vector<PrefillTime> prefills_;
  std::vector<double> ttft_;  // of the long prompts that had their token
};

size_t Ended(const AllTimes& all, size_t streams) {
  return static_cast<size_t>(
      std::count_if(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(streams),
                    [](const TokenTimes& times) { return !times.finish_reason.empty(); }));
}

Status Run::StartStreams() {
  std::mt19937 random(0);
  for (size_t i = 0; i < load_.streams; ++i) {
    // Without an end: Finish cancels them.
    const auto request = MakeRequest(
        {.prompt = bench_.prompts.Next(load_.prompt_tokens.Draw(random)), .new_tokens = 0});
    if (!request.ok()) return request.status();
    if (const auto number = tracker_.Submit(*request); !number.ok()) return number.status();
  }
  return Status();
}

template <typename Reached>
Status Run::WaitUntil(const std::string& label, const Reached& reached) {
  while (!bench_.stop) {
    if (Status status = tracker_.status(); !status.ok()) return status;
    if (tracker_.Read([&](const AllTimes& all) { return Ended(all, load_.streams); }) > 0) {
      return Status(Code::kFailedPrecondition,
                    "a stream came to the end of the context before all was measured; lower "
                    "--prompt-tokens, --new-tokens or --repeats, or raise --max-model-len");
    }
    if (tracker_.Read(reached)) break;
    bench_.progress.Show(label, static_cast<int64_t>(prefills_.size()),
                         static_cast<int64_t>(load_.repeats));
    (void)tracker_.WaitForRunning(0, kPause);
  }
  return Status();
}

Status Run::WaitForFirstTokens() {
  const auto reached = [this](const AllTimes& all) {
    size_t most = 0, with_tokens = 0;
    for (size_t i = 0; i < load_.streams; ++i) {
      most = std::max(most, all[i].tokens());
      if (!all[i].arrivals.empty()) ++with_tokens;
    }
    return with_tokens == load_.streams || most >= kPatience;
  };
  Status status = WaitUntil("prompts of the streams", reached);
  steady_ = Clock::now();
  return status;
}

Status Run::WaitForNewTokens(const std::string& label) {
  const Clock::time_point start = Clock::now();
  return WaitUntil(label, [this, start](const AllTimes& all) {
    size_t done = 0;
    for (size_t i = 0; i < load_.streams; ++i) {
      size_t tokens = 0;
      for (auto it = all[i].arrivals.rbegin(); it != all[i].arrivals.rend() && it->at > start; ++it)
        tokens += it->tokens;
      if (tokens >= load_.new_tokens) ++done;
    }
    return 2 * done >= load_.streams;
  });
}

Status Run::RunLongPrompt() {
  // One token: its output is not held back for text.
  const auto request = MakeRequest({.prompt = bench_.prompts.Next(load_.long_tokens)});
  if (!request.ok()) return request.status();
  const auto number = tracker_.Submit(*request);
  if (!number.ok()) return number.status();
  const size_t long_one = *number;
  Status status = WaitUntil("long prompt", [long_one](const AllTimes& all) {
    return !all[long_one].finish_reason.empty();
  });
  if (!status.ok()) return status;
  tracker_.Read([&](const AllTimes& all) {
    const TokenTimes& times = all[long_one];
    // Without tokens after a stop: what the streams have had since then is still of this phase.
    const bool is_complete = !times.arrivals.empty();
    const PrefillTime prefill = {
        times.submitted, is_complete ? times.arrivals.front().at : Clock::time_point::max()};
    prefills_.push_back(prefill);
    if (is_complete) ttft_.push_back(SecondsBetween(prefill.begin, prefill.end));
  });
  return Status();
}

Result<Interference> Run::Finish() {
  tracker_.Cancel();
  while (!tracker_.WaitForRunning(0, kPause)) {
  }
  Interference result;
  result.ttft_loaded = ttft_;
  std::vector<TokenTimes> streams = tracker_.times();
  streams.resize(std::min(streams.size(), load_.streams));
  std::vector<Gap> gaps;
  size_t tokens = 0, outputs = 0;
  for (TokenTimes& times : streams) {
    // The last output brings what was held back for text until then.
    if (!times.arrivals.empty() && times.arrivals.back().at == times.ended) {
      times.arrivals.pop_back();
    }
    if (times.arrivals.empty()) ++result.quiet_streams;
    tokens += times.tokens();
    outputs += times.arrivals.size();
    for (const Gap& gap : times.gaps()) {
      if (gap.from >= steady_) gaps.push_back(gap);
    }
  }
  if (outputs > 0) {
    result.tokens_per_output = static_cast<double>(tokens) / static_cast<double>(outputs);
  }
  // Stopped before the first long prompt came.
  if (prefills_.empty()) prefills_.push_back({Clock::time_point::max(), Clock::time_point::max()});
  SortIntoPhases(gaps, prefills_, &result);
  return result;
}

}  // namespace

void SortIntoPhases(const std::vector<Gap>& gaps, const std::vector<PrefillTime>& prefills,
                    Interference* result) {
  std::vector<double> before, during, after;
  for (const Gap& gap : gaps) {
    const Clock::time_point middle = gap.middle();
    const bool is_before = middle < prefills.front().begin;
    const bool is_during =
        std::any_of(prefills.begin(), prefills.end(), [middle](const PrefillTime& prefill) {
          return prefill.begin <= middle && middle <= prefill.end;
        });
    Interference::Phase& phase = is_before   ? result->before
                                 : is_during ? result->during
                                             : result->after;
    phase.longest_gap = std::max(phase.longest_gap, gap.seconds());
    AppendPerToken(gap, is_before ? &before : is_during ? &during : &after);
  }
  result->before.itl = Summarize(std::move(before));
  result->during.itl = Summarize(std::move(during));
  result->after.itl = Summarize(std::move(after));
}

Result<Interference> MeasureInterference(Bench& bench, const InterferenceLoad& load) {
  std::vector<double> alone;
  std::vector<Ask> asks(load.repeats);
  for (Ask& ask : asks) ask.prompt = bench.prompts.Next(load.long_tokens);
  const auto ran = RunClosedLoop(bench, asks, 1, "long prompt alone");
  if (!ran.ok()) return ran.status();
  for (const TokenTimes& times : *ran) {
    if (times.is_complete()) alone.push_back(times.time_to_first_token());
  }
  if (bench.stop) return Interference{.ttft_alone = std::move(alone)};

  Run run(bench, load);
  Status status = run.StartStreams();
  if (status.ok()) status = run.WaitForFirstTokens();
  if (status.ok()) status = run.WaitForNewTokens("before");
  for (size_t i = 0; i < load.repeats && status.ok() && !bench.stop; ++i) {
    status = run.RunLongPrompt();
    if (status.ok()) status = run.WaitForNewTokens("after");
  }
  if (!status.ok()) return status;
  Result<Interference> result = run.Finish();
  if (result.ok()) result->ttft_alone = std::move(alone);
  return result;
}

}  // namespace keel::apps
