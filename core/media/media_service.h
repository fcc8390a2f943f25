// The body of keel-media and keel-media-av.
#ifndef KEEL_CORE_MEDIA_MEDIA_SERVICE_H_
#define KEEL_CORE_MEDIA_MEDIA_SERVICE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/media/decode_options.h"
#include "core/media/media_item.h"

namespace keel {

// What a program decodes, as decode.h has it; null: nothing of that kind.
struct MediaDecoders {
  absl::StatusOr<MediaItem> (*image)(absl::string_view bytes,
                                     const ImageOptions& options) = nullptr;
  absl::StatusOr<MediaItem> (*video)(absl::string_view bytes,
                                     const VideoOptions& options) = nullptr;
  absl::StatusOr<MediaItem> (*audio)(absl::string_view bytes,
                                     const AudioOptions& options) = nullptr;
};

// main of PROGRAM MEMORY_BYTES CPU_SECONDS, which keel::MediaPool starts with a channel as descriptor 3:
// locks the process into a jail and answers requests (media.proto) until the host closes the channel.
int MediaServiceMain(int argc, char** argv, const MediaDecoders& decoders);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_SERVICE_H_
