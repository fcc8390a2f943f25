#include "apps/bench/serve.h"

#include <chrono>
#include <deque>
#include <memory>
#include <random>
#include <utility>

#include "apps/bench/prompts.h"
#include "apps/bench/token_times.h"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

// One request and what came of it.
struct Call {
  size_t prompt_tokens = 0;
  std::string body;
  Clock::time_point begin, end;
  std::vector<Clock::time_point> events;  // of the answer, also without text
  size_t output_tokens = 0;               // as the server counts
  bool is_done = false;
  Status status;
};

Result<std::string> FirstModel(const HttpUrl& url) {
  const Result<std::string> body = Get(url, "/v1/models");
  if (!body.ok()) return body.status();
  boost::system::error_code error;
  const json::value models = json::parse(*body, error);
  const json::value* id = error ? nullptr : models.find_pointer("/data/0/id", error);
  if (id == nullptr || !id->is_string())
    return Status(Code::kUnavailable, "/v1/models lists no model; name one by --model");
  return std::string(id->get_string());
}

std::string MakeBody(const std::string& model, const Prompt& prompt, size_t new_tokens) {
  return json::serialize(json::object{{"model", model},
                                      {"prompt", json::array(prompt.begin(), prompt.end())},
                                      {"max_tokens", new_tokens},
                                      {"temperature", 0},
                                      {"ignore_eos", true},
                                      {"stream", true},
                                      {"stream_options", {{"include_usage", true}}}});
}

// What an event of a completion's stream says.
void ReadEvent(std::string_view data, Call* call) {
  boost::system::error_code error;
  const json::value event = json::parse({data.data(), data.size()}, error);
  if (error) return;  // "[DONE]"
  // As vLLM's bench counts: tokens without text, such as special ones, are an answer, too.
  if (event.find_pointer("/choices/0", error) != nullptr) call->events.push_back(Clock::now());
  const json::value* tokens = event.find_pointer("/usage/completion_tokens", error);
  if (tokens != nullptr && tokens->is_int64())
    call->output_tokens = static_cast<size_t>(tokens->get_int64());
}

// Sends calls when they arrive; at most max_concurrency at once.
class Sender {
 public:
  Sender(const ServeLoad& load, std::deque<Call>& calls, Progress& progress,
         const std::atomic<bool>& stop)
      : load_(load), calls_(calls), progress_(progress), stop_(stop) {}

  void Run() {
    asio::co_spawn(context_, SendAll(), asio::detached);
    // Looks at `stop` now and then.
    while (context_.run_for(std::chrono::milliseconds(100)) > 0 || !context_.stopped()) {
      if (stop_) return context_.stop();
      progress_.Show("requests answered", static_cast<int64_t>(ended_),
                     static_cast<int64_t>(calls_.size()));
    }
  }

 private:
  asio::awaitable<void> SendAll() {
    const std::vector<double> arrivals = Arrivals(load_);
    const Clock::time_point start = Clock::now();
    asio::steady_timer timer(context_);
    for (size_t i = 0; i < calls_.size(); ++i) {
      timer.expires_at(start + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(arrivals[i])));
      co_await timer.async_wait(asio::use_awaitable);
      while (load_.max_concurrency > 0 && running_ >= load_.max_concurrency) {
        timer.expires_after(std::chrono::milliseconds(1));
        co_await timer.async_wait(asio::use_awaitable);
      }
      ++running_;
      asio::co_spawn(context_, Send(calls_[i]), asio::detached);
    }
  }

  asio::awaitable<void> Send(Call& call) {
    call.begin = Clock::now();
    call.status = co_await PostForEvents(load_.url, "/v1/completions", std::move(call.body),
                                         [&](std::string_view data) { ReadEvent(data, &call); });
    call.end = Clock::now();
    call.is_done = true;
    --running_;
    ++ended_;
  }

  const ServeLoad& load_;
  std::deque<Call>& calls_;
  Progress& progress_;
  const std::atomic<bool>& stop_;
  asio::io_context context_{1};
  size_t running_ = 0, ended_ = 0;
};

ServeResult Summarized(const std::deque<Call>& calls) {
  ServeResult result;
  std::vector<double> ttft, tpot, itl, e2el;
  Clock::time_point begin = Clock::time_point::max(), end = Clock::time_point::min();
  for (const Call& call : calls) {
    if (!call.is_done) continue;
    begin = std::min(begin, call.begin);
    end = std::max(end, call.end);
    if (!call.status.ok() || call.events.empty()) {
      ++result.failed;
      if (!result.first_error.ok()) continue;
      result.first_error = call.status.ok()
                               ? Status(Code::kUnavailable, "a stream ended without any choice")
                               : call.status;
      continue;
    }
    ++result.completed;
    const size_t tokens = call.output_tokens > 0 ? call.output_tokens : call.events.size();
    result.input_tokens += call.prompt_tokens;
    result.output_tokens += tokens;
    ttft.push_back(SecondsBetween(call.begin, call.events.front()));
    e2el.push_back(SecondsBetween(call.begin, call.events.back()));
    if (tokens > 1) tpot.push_back((e2el.back() - ttft.back()) / static_cast<double>(tokens - 1));
    for (size_t i = 1; i < call.events.size(); ++i)
      itl.push_back(SecondsBetween(call.events[i - 1], call.events[i]));
  }
  if (result.completed + result.failed > 0) result.seconds = SecondsBetween(begin, end);
  result.ttft = Summarize(std::move(ttft));
  result.tpot = Summarize(std::move(tpot));
  result.itl = Summarize(std::move(itl));
  result.e2el = Summarize(std::move(e2el));
  return result;
}

}  // namespace

std::vector<double> Arrivals(const ServeLoad& load) {
  std::vector<double> arrivals(load.requests, 0);
  if (load.request_rate <= 0) return arrivals;
  std::mt19937 random(0);
  // Gaps of mean 1 / rate.
  std::gamma_distribution<double> gap(load.burstiness, 1 / (load.request_rate * load.burstiness));
  for (size_t i = 1; i < arrivals.size(); ++i) arrivals[i] = arrivals[i - 1] + gap(random);
  return arrivals;
}

Result<ServeResult> MeasureServe(const ServeLoad& load, Progress& progress,
                                 const std::atomic<bool>& stop) {
  std::string model = load.model;
  if (model.empty()) {
    Result<std::string> first = FirstModel(load.url);
    if (!first.ok()) return first.status();
    model = *std::move(first);
  }
  Prompts prompts(load.vocab_size);
  std::mt19937 random(0);
  std::deque<Call> calls;
  for (size_t i = 0; i < load.requests; ++i) {
    const Prompt prompt = prompts.Next(load.prompt_tokens.Draw(random));
    Call& call = calls.emplace_back();
    call.prompt_tokens = prompt.size();
    call.body = MakeBody(model, prompt, load.new_tokens.Draw(random));
  }
  Sender(load, calls, progress, stop).Run();
  progress.Clear();
  ServeResult result = Summarized(calls);
  result.model = std::move(model);
  return result;
}

}  // namespace keel::apps
