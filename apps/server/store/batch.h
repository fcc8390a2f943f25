// A batch of OpenAI's API: what it is asked to do, and how far it has come.
#ifndef KEEL_APPS_SERVER_STORE_BATCH_H_
#define KEEL_APPS_SERVER_STORE_BATCH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

enum class BatchStatus {
  kValidating,  // its input is yet to be read
  kFailed,
  kInProgress,
  kFinalizing,
  kCompleted,
  kExpired,
  kCancelling,  // what runs is being ended
  kCancelled,
};
std::string_view NameOf(BatchStatus status);
// Nothing more happens to it.
bool HasEnded(BatchStatus status);

// Why a batch as a whole cannot be run.
struct BatchFault {
  std::string code;  // for programs
  std::string message;
  std::string param = {};  // the field at fault; empty: none
  int64_t line = 0;        // of the input; 0: none
};

struct RequestCounts {
  int64_t total = 0, completed = 0, failed = 0;
  bool operator==(const RequestCounts&) const = default;
};

// Tokens of the answers.
struct BatchUsage {
  int64_t input = 0, cached_input = 0, output = 0, reasoning = 0;
  bool operator==(const BatchUsage&) const = default;
};

struct Batch {
  std::string id;
  std::string endpoint;
  std::string input_file_id;
  std::string completion_window;
  std::string model = {};  // empty: not known yet
  BatchStatus status = BatchStatus::kValidating;
  // Seconds since 1970 at which a status began; kValidating: it was made.
  std::map<BatchStatus, int64_t> times = {};
  int64_t expires_at = 0;
  RequestCounts counts = {};
  std::optional<BatchUsage> usage = {};  // once it has ended
  std::vector<BatchFault> faults = {};
  boost::json::object metadata = {};
  // Of what it writes; they are files of the store once it has ended, if there is something in them.
  std::string output_id = {}, errors_id = {};
  bool has_output = false, has_errors = false;
  std::optional<int64_t> output_expires_after = {};  // seconds

  void Enter(BatchStatus next, int64_t now) {
    status = next;
    times[next] = now;
  }
};

// The object that clients get.
boost::json::object ToJson(const Batch& batch);
// All of it, as text to be kept.
std::string SaveBatch(const Batch& batch);
Result<Batch> LoadBatch(const std::string& text);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_STORE_BATCH_H_
