// Decoding of media that come from outside: in a few processes that can do nothing else
// (core/remote/jail.h), so that a file which takes a decoder over, crashes or stalls it costs its own
// request an error and nobody else anything. This process never parses a byte of it.
#ifndef KEEL_CORE_MEDIA_MEDIA_POOL_H_
#define KEEL_CORE_MEDIA_MEDIA_POOL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/media/decode_options.h"
#include "core/media/media_item.h"
#include "core/remote/child_pool.h"
#include "core/remote/jailed_process.h"

namespace keel {

namespace proto {
class MediaRequest;
}
class MediaProcess;  // a child
struct MediaReply;

// Thread-safe.
class MediaPool {
 public:
  struct Options {
    int size = 2;  // children of each program at most, and so items that are decoded at once
    // The program of both; empty: $KEEL_MEDIA and $KEEL_MEDIA_AV, else where companions are looked for.
    JailOptions jail = {.wall_limit = absl::Seconds(20),
                        .limits = {.memory_bytes = int64_t{2} << 30, .cpu_seconds = 10}};
  };

  // Starts the first child that decodes images; those for videos and sounds start with the first of
  // them. kNotFound: no such program; kFailedPrecondition: this machine can't jail, with the reason.
  static absl::StatusOr<std::unique_ptr<MediaPool>> Create(const Options& options);
  ~MediaPool();

  // As decode.h has them, in a child that is free, or a new one; waits for one if there are none.
  // Errors say what `bytes` are not, for instance "is no image that can be decoded: PNG: the file
  // ends too early", and lack the name of the item, which the caller knows. kInvalidArgument also for
  // one that kills or stalls its child; kResourceExhausted for one above a limit; as Create's where a
  // child can't be started. What comes back has been checked: sizes within the limits, as many pixels
  // as they say.
  absl::StatusOr<MediaItem> DecodeImage(absl::string_view bytes, const ImageOptions& options = {});
  absl::StatusOr<MediaItem> DecodeVideo(absl::string_view bytes, const VideoOptions& options = {});
  absl::StatusOr<MediaItem> DecodeAudio(absl::string_view bytes, const AudioOptions& options = {});

 private:
  explicit MediaPool(const Options& options);
  // `what` begins errors of items that their child did not outlive.
  absl::StatusOr<MediaReply> Ask(const proto::MediaRequest& request, absl::string_view bytes,
                                 absl::string_view what);

  ChildPool<MediaProcess> images_, audio_video_;
};

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_POOL_H_
