// Gives memory back to the system after large requests.
#ifndef KEEL_APPS_SERVER_HEAP_TRIMMER_H_
#define KEEL_APPS_SERVER_HEAP_TRIMMER_H_

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

namespace keel::apps {

// The C library keeps what is freed, in a heap for each thread that allocated it: a few bodies of tens
// of megabytes would stay for good. Lower thresholds would return large blocks at once, but those of a
// model's steps as well, which take them again all the time.
class HeapTrimmer {
 public:
  HeapTrimmer();
  // Trims all heaps soon, on a thread of its own. Calls that come meanwhile are served together.
  void TrimSoon();

 private:
  void Run(std::stop_token stop);

  std::mutex mutex_;
  std::condition_variable_any wanted_;
  bool is_wanted_ = false;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_HEAP_TRIMMER_H_
