// Packed weights on disk: the second start of a model maps what the first one packed.
//
// A file holds the bytes that were packed for one key, which names all that they were made of. Its first page says so
// (magic, version, size, key, a note for people) and ends with its own sha256; the packed bytes follow. Nothing in a file
// is an offset or a size that is trusted: the reader knows what it must find. The bytes behind the first page are not
// checked: they are numbers whatever they are, and a file gets its name only when they are on the disk.
//
// The directory's files take at most a quarter of what the disk would have free without them; those that were used
// longest ago make room. Any process may remove a file at any time.
#ifndef KEEL_CORE_WEIGHTS_WEIGHT_CACHE_H_
#define KEEL_CORE_WEIGHTS_WEIGHT_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"

namespace keel {

inline constexpr int64_t kCacheHeaderBytes = 4096;

// The first page of a file of `bytes` packed bytes. `key` is 64 characters.
std::string CacheHeader(absl::string_view key, int64_t bytes, absl::string_view note);
// DATA_LOSS unless `header` is such a page.
absl::Status CheckCacheHeader(absl::Span<const uint8_t> header, absl::string_view key,
                              int64_t bytes);

// Memory of the process itself, zeroed, in huge pages where the system has them. RESOURCE_EXHAUSTED.
absl::StatusOr<std::shared_ptr<uint8_t>> AllocatePages(int64_t bytes);

class WeightCache {
 public:
  // "$XDG_CACHE_HOME/keel/weights", else "$HOME/.cache/keel/weights"; "" where neither is set.
  static std::string DefaultDir();

  // `max_bytes`: what its files may take; 0: the quarter.
  explicit WeightCache(std::string dir, int64_t max_bytes = 0)
      : dir_(std::move(dir)), max_bytes_(max_bytes) {}
  // What is being written gets five seconds more, then it is given up.
  ~WeightCache();
  WeightCache(const WeightCache&) = delete;
  WeightCache& operator=(const WeightCache&) = delete;

  const std::string& dir() const { return dir_; }
  std::string PathOf(absl::string_view key) const;

  // The packed bytes under `key`, mapped, from then on the last used. NOT_FOUND; DATA_LOSS: a file that is damaged, or
  // another's; it is removed.
  absl::StatusOr<std::shared_ptr<const uint8_t>> Find(absl::string_view key, int64_t bytes) const;

  // Has `packed` written under `key`, behind the caller's back. RESOURCE_EXHAUSTED: it is more than the cache may hold;
  // the errors of a directory that can't be written. What goes wrong later is said on stderr, once.
  absl::Status Write(absl::string_view key, absl::string_view note,
                     std::shared_ptr<const uint8_t> packed, int64_t bytes);
  // Until all writing is done. Returns the first error.
  absl::Status Flush();

 private:
  struct Writer {
    int64_t bytes = 0;  // of its file
    std::thread thread;
    absl::Notification is_done;
    absl::Status status;  // once it is done
  };

  // For a file of `bytes` beside those that are being written.
  absl::Status MakeRoom(int64_t bytes) const;

  const std::string dir_;
  const int64_t max_bytes_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::atomic<bool> give_up_ = false, has_complained_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_WEIGHT_CACHE_H_
