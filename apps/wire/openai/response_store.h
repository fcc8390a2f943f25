// Responses that a later call may ask for, or go on with, by their id.
#ifndef KEEL_APPS_WIRE_OPENAI_RESPONSE_STORE_H_
#define KEEL_APPS_WIRE_OPENAI_RESPONSE_STORE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace keel::apps {

struct StoredResponse {
  std::string messages;  // JSON: the conversation and the response, as chat templates take them
  std::string body;      // JSON: what the call was answered
};

// Keeps as many as fit, the least recently used go first. All functions may be called from any thread.
class ResponseStore {
 public:
  explicit ResponseStore(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The server's.
  static ResponseStore& OfServer();

  // What is longer than the store is not kept.
  void Put(const std::string& id, StoredResponse response);
  // Null: there is none of that id, or it has gone.
  std::shared_ptr<const StoredResponse> Find(std::string_view id);
  // False: there is none of that id.
  bool Erase(std::string_view id);

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response;
  };

  static size_t SizeOf(const Entry& entry);
  void EraseLocked(std::list<Entry>::iterator it);

  const size_t max_bytes_;
  std::mutex mutex_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // the most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_id_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_RESPONSE_STORE_H_
