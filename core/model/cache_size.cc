#include "core/model/cache_size.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr char kBytesFlag[] = "--kv-cache-memory-bytes";

int64_t BlocksFor(int64_t tokens, int64_t block_size) {
  return (tokens + block_size - 1) / block_size;
}

// Blocks that one sequence of `length` tokens needs of a group.
int64_t BlocksOfSequence(const CacheLayout::Group& group, const CacheNeed& need, int64_t length) {
  const int64_t all = BlocksFor(length, need.block_size);
  const int64_t kept = std::max(group.window, group.chunk);
  if (kept == 0) return all;
  return std::min(all, BlocksFor(kept + std::min(need.max_chunk, length), need.block_size) + 1);
}

int64_t BytesOfSequence(const CacheLayout& layout, const CacheNeed& need, int64_t length) {
  int64_t bytes = 0;
  for (const CacheLayout::Group& group : layout.groups)
    bytes += BlocksOfSequence(group, need, length) * group.block_bytes;
  return bytes;
}

std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  int64_t number = 0;
  if (!(file >> word) || !absl::SimpleAtoi(word, &number)) return std::nullopt;  // or "max"
  return number;
}

}  // namespace

absl::StatusOr<CacheSize> DivideCache(const CacheLayout& layout, const CacheNeed& need,
                                      int64_t bytes, bool use_all) {
  CacheSize out;
  out.max_len = need.max_len;
  const int64_t of_sequence = BytesOfSequence(layout, need, need.max_len);
  if (bytes < of_sequence) {
    // One sequence as long as fits.
    int64_t low = 0, high = need.max_len;
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (BytesOfSequence(layout, need, middle) <= bytes) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    out.max_len = low;
    if (low < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("a KV cache of ", bytes, " bytes: one block of ", need.block_size,
                       " tokens takes ", BytesOfSequence(layout, need, 1)));
    }
  }
  const int64_t unit = std::max<int64_t>(BytesOfSequence(layout, need, out.max_len), 1);
  if (!use_all) bytes = std::min(bytes, unit * need.max_num_seqs);
  constexpr int64_t kMaxBlocks = 1 << 24;
  for (const CacheLayout::Group& group : layout.groups) {
    const int64_t share = BlocksOfSequence(group, need, out.max_len);
    const auto blocks = static_cast<int64_t>(static_cast<__int128>(bytes) * share / unit);
    CacheGroup sized;
    sized.num_blocks = static_cast<int32_t>(std::clamp(blocks, share, kMaxBlocks));
    sized.window = group.window;
    sized.chunk = group.chunk;
    out.bytes += sized.num_blocks * group.block_bytes;
    out.groups.push_back(sized);
  }
  return out;
}

int64_t AvailableMemory() {
  // MemAvailable counts the page cache that could be given up; sysinfo's free does not.
  int64_t available = int64_t{1} << 30;
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  int64_t kib = 0;
  while (meminfo >> key >> kib >> unit) {
    if (key == "MemAvailable:") available = kib * 1024;
  }
  const auto limit = ReadNumber("/sys/fs/cgroup/memory.max");
  const auto used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (limit.has_value() && used.has_value())
    available = std::min(available, std::max<int64_t>(0, *limit - *used));
  return available;
}

absl::StatusOr<int32_t> NumStateSlots(const CacheLayout& layout, int64_t max_num_seqs,
                                      int64_t bytes, std::vector<std::string>& warnings) {
  const int64_t fit = (layout.groups.empty() ? bytes : bytes / 2) / layout.state_bytes;
  if (fit < 1) {
    return WithFlag(absl::ResourceExhaustedError(
                        absl::StrCat(kBytesFlag, ": the recurrent states of one sequence take ",
                                     layout.state_bytes, " bytes, ", bytes, " are there",
                                     layout.groups.empty() ? "" : ", half of them for states")),
                    "kv-cache-memory-bytes");
  }
  if (fit < max_num_seqs) {
    warnings.push_back(absl::StrCat("there is memory for the recurrent states of ", fit,
                                    " sequences at once, not for the ", max_num_seqs,
                                    " of --max-num-seqs; raise --kv-cache-memory-bytes"));
  }
  return static_cast<int32_t>(std::min(fit, max_num_seqs));
}

absl::StatusOr<CacheSize> SizeCache(const CacheOptions& options, const SchedulerOptions& steps,
                                    const CacheLayout& layout, int64_t max_positions,
                                    std::vector<std::string>& warnings) {
  CacheNeed need;
  need.max_len = max_positions > 0 ? max_positions : 2048;
  if (options.max_model_len > 0) {
    if (max_positions > 0 && options.max_model_len > max_positions) {
      return WithFlag(
          absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", options.max_model_len,
                                                  ", the model's config allows at most ",
                                                  max_positions, " (max_position_embeddings)")),
          "max-model-len");
    }
    need.max_len = options.max_model_len;
  }
  need.max_chunk = steps.max_num_batched_tokens;
  need.max_num_seqs = steps.max_num_seqs;
  need.block_size = options.block_size;
  int64_t available = AvailableMemory();
  if (options.available_memory > 0) available = std::min(available, options.available_memory);
  const bool given = options.memory_bytes > 0;
  if (given && options.memory_bytes > available) {
    return WithFlag(absl::ResourceExhaustedError(absl::StrCat(
                        kBytesFlag, " is ", options.memory_bytes, ", ", available,
                        " bytes are free; the largest value that fits is ", available / 10 * 9)),
                    "kv-cache-memory-bytes");
  }
  int64_t bytes = given
                      ? options.memory_bytes
                      : static_cast<int64_t>(static_cast<double>(available) * options.memory_share);
  int32_t num_state_slots = 0;
  if (layout.state_bytes > 0) {
    KEEL_ASSIGN_OR_RETURN(num_state_slots,
                          NumStateSlots(layout, steps.max_num_seqs, bytes, warnings));
    bytes -= num_state_slots * layout.state_bytes;
  }
  absl::StatusOr<CacheSize> size = DivideCache(layout, need, bytes, given);
  if (!size.ok()) return WithFlag(Annotate(size.status(), kBytesFlag), "kv-cache-memory-bytes");
  size->num_state_slots = num_state_slots;
  if (size->max_len < need.max_len) {
    warnings.push_back(absl::StrCat("the KV cache holds ", size->max_len,
                                    " tokens: requests are limited to that, not to the model's ",
                                    need.max_len, "; raise ", kBytesFlag));
  }
  return size;
}

}  // namespace keel
