#include "apps/wire/run_call.h"

#include <functional>
#include <memory>
#include <semaphore>
#include <string_view>
#include <utility>

#include "apps/wire/generation.h"
#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

// False: the engine refused it.
bool ForEachPiece(Engine& engine, std::vector<Request> requests,
                  const std::function<void(Piece)>& fn) {
  auto woken = std::make_shared<std::counting_semaphore<>>(0);
  auto generation = Generation::Start(engine, std::move(requests), [woken] { woken->release(); });
  if (!generation.ok()) return false;
  while (true) {
    std::vector<Piece> pieces;
    const bool more = (*generation)->Take(&pieces);
    for (Piece& piece : pieces) fn(std::move(piece));
    if (!more) break;
    woken->acquire();
  }
  return true;
}

}  // namespace

json::value RunCall(Engine& engine, Call call) {
  std::vector<Request> requests = std::move(call.requests);
  Answer& answer = *call.answer;
  const bool is_taken = ForEachPiece(engine, std::move(requests),
                                     [&](Piece piece) { answer.Collect(std::move(piece)); });
  return is_taken ? json::parse(answer.Body()) : json::value();
}

std::vector<json::value> StreamCall(Engine& engine, Call call) {
  std::vector<Request> requests = std::move(call.requests);
  Answer& answer = *call.answer;
  std::string events;
  const bool is_taken = ForEachPiece(engine, std::move(requests),
                                     [&](Piece piece) { answer.AppendEvents(piece, &events); });
  EXPECT_TRUE(is_taken);
  answer.AppendEnd(&events);
  return ParseEvents(events);
}

std::vector<json::value> ParseEvents(const std::string& events) {
  constexpr std::string_view kName = "event: ", kBegin = "data:", kEnd = "\n\n";
  std::vector<json::value> all;
  std::string_view rest = events;
  while (!rest.empty()) {
    if (rest.starts_with(kName)) rest.remove_prefix(rest.find('\n') + 1);
    const size_t end = rest.find(kEnd);
    EXPECT_TRUE(rest.starts_with(kBegin) && end != std::string_view::npos) << rest;
    if (end == std::string_view::npos) break;
    std::string_view data = rest.substr(kBegin.size(), end - kBegin.size());
    if (data.starts_with(' ')) data.remove_prefix(1);  // the dialect's to say
    all.push_back(data == "[DONE]" ? json::value("[DONE]")
                                   : json::parse(json::string_view(data.data(), data.size())));
    rest.remove_prefix(end + kEnd.size());
  }
  return all;
}

}  // namespace keel::apps
