// A conversation with a model.
#ifndef KEEL_APPS_CHAT_CHAT_SESSION_H_
#define KEEL_APPS_CHAT_CHAT_SESSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "boost/json/array.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What is not set comes from the model's generation_config.json.
struct ChatOptions {
  std::string system = {};  // empty: none
  std::optional<double> temperature = {}, top_p = {}, repetition_penalty = {};
  std::optional<int64_t> top_k = {}, max_tokens = {}, seed = {};
};

// Used by one thread.
class ChatSession {
 public:
  // Called with the answer's text as it comes.
  using OnText = std::function<void(std::string_view)>;
  enum class End { kComplete, kCutByLength, kStopped };

  // `stop` ends the answer that runs when it becomes true. Both must outlive the session.
  ChatSession(Engine& engine, ChatOptions options, const std::atomic<bool>& stop)
      : engine_(engine), options_(std::move(options)), stop_(stop) {}

  // Adds what the user says and the model's answer. On an error, and when nothing of an answer came, the
  // conversation stays as it was.
  Result<End> Say(std::string_view text, const OnText& on_text);
  // Answers once more what the user said last.
  Result<End> Regenerate(const OnText& on_text);
  // Begins anew; the system text stays.
  void Clear() { turns_.clear(); }
  void SetSystem(std::string text) { options_.system = std::move(text); }
  const std::string& system() const { return options_.system; }

 private:
  Result<Request> NewRequest() const;
  Result<End> Run(const Request& request, const OnText& on_text, std::string* answer);

  Engine& engine_;
  ChatOptions options_;
  const std::atomic<bool>& stop_;
  boost::json::array turns_;  // user, assistant, user, assistant ...
};

}  // namespace keel::apps

#endif  // KEEL_APPS_CHAT_CHAT_SESSION_H_
