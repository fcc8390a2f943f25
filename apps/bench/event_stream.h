// One POST whose answer is a stream of server-sent events.
#ifndef KEEL_APPS_BENCH_EVENT_STREAM_H_
#define KEEL_APPS_BENCH_EVENT_STREAM_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "boost/asio/awaitable.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// http://HOST[:PORT][/PATH]
struct HttpUrl {
  std::string host, port = "80", path;  // path without a slash at its end

  bool operator==(const HttpUrl&) const = default;
};
// nullopt for anything else, https too.
std::optional<HttpUrl> ParseHttpUrl(std::string_view text);

// The body of a GET of `path` below the URL. Blocks.
Result<std::string> Get(const HttpUrl& url, const std::string& path);

// Posts JSON on a connection of its own and calls `on_data` with the text after each "data: ", as it comes. An answer
// that is not 200 is an error with the beginning of its body.
boost::asio::awaitable<Status> PostForEvents(const HttpUrl& url, const std::string& path,
                                             std::string body,
                                             std::function<void(std::string_view data)> on_data);

// Cuts a stream of bytes into the data of its events.
class EventCutter {
 public:
  explicit EventCutter(std::function<void(std::string_view data)> on_data)
      : on_data_(std::move(on_data)) {}
  void Add(std::string_view bytes);

 private:
  std::function<void(std::string_view)> on_data_;
  std::string line_;  // not complete yet
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_EVENT_STREAM_H_
