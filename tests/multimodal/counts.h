// How many tokens transformers makes of images and sounds of random sizes: what tests/goldens/make_counts.py writes.
#ifndef KEEL_TESTS_MULTIMODAL_COUNTS_H_
#define KEEL_TESTS_MULTIMODAL_COUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/media/media_item.h"

namespace keel::testing {

struct CountedItem {
  MediaItem item;  // its sizes, without data
  int32_t tokens;  // -1: refused
};

// Of `counts.zlib` in `directory`, for KEEL_MODALITY_IMAGE or KEEL_MODALITY_AUDIO.
absl::StatusOr<std::vector<CountedItem>> ReadCounts(const std::string& directory,
                                                    uint32_t modality);

}  // namespace keel::testing

#endif  // KEEL_TESTS_MULTIMODAL_COUNTS_H_
