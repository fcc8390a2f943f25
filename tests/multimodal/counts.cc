#include "tests/multimodal/counts.h"

#include <zlib.h>

#include <algorithm>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace keel::testing {
namespace {

constexpr uint64_t kMaxSide = 4000, kMaxSamples = 1 << 19;
constexpr size_t kMostCounts = 1 << 20;
constexpr double kSamplesASecond = 16000;

// As many small ones as large, as class Sizes of make_counts.py.
class Sizes {
 public:
  int64_t Next(uint64_t limit) {
    const uint64_t power = uint64_t{1} << Random() % static_cast<uint64_t>(std::bit_width(limit));
    return static_cast<int64_t>(std::min(limit, power + Random() % power));
  }

 private:
  uint64_t Random() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

  uint64_t state_ = 0;
};

MediaItem NextItem(Sizes& sizes, uint32_t modality) {
  MediaItem item = {.modality = modality};
  if (modality == KEEL_MODALITY_AUDIO) {
    item.length = sizes.Next(kMaxSamples);
    item.rate = kSamplesASecond;
  } else {
    item.height = sizes.Next(kMaxSide);
    item.width = sizes.Next(kMaxSide);
  }
  return item;
}

}  // namespace

absl::StatusOr<std::vector<CountedItem>> ReadCounts(const std::string& directory,
                                                    uint32_t modality) {
  const std::string path = JoinPath(directory, "counts.zlib");
  KEEL_ASSIGN_OR_RETURN(const std::string packed, ReadFile(path));
  std::vector<int32_t> counts(kMostCounts);
  uLongf bytes = counts.size() * sizeof(int32_t);
  const int error = uncompress(reinterpret_cast<Bytef*>(counts.data()), &bytes,
                               reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  if (error != Z_OK) return absl::InternalError(absl::StrCat(path, ": zlib's error ", error));
  counts.resize(bytes / sizeof(int32_t));
  Sizes sizes;
  std::vector<CountedItem> items;
  for (const int32_t tokens : counts) items.push_back({NextItem(sizes, modality), tokens});
  return items;
}

}  // namespace keel::testing
