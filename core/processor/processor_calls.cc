#include "core/processor/processor_calls.h"

namespace keel {
namespace {

// Frames a second of those that were taken out of a clip; else as it says.
double RateOf(const MediaItem& item) {
  if (item.total_frames == 0) return item.rate;
  return item.rate * static_cast<double>(item.length) / static_cast<double>(item.total_frames);
}

bool HasTimes(const MediaItem& item) {
  return item.modality == KEEL_MODALITY_VIDEO &&
         item.seconds.size() == static_cast<size_t>(item.length);
}

}  // namespace

keel_media SizesOf(const MediaItem& item) {
  return {sizeof(keel_media), item.modality, nullptr,
          item.height,        item.width,    item.length,
          RateOf(item),       nullptr,       HasTimes(item) ? item.seconds.data() : nullptr};
}

}  // namespace keel
