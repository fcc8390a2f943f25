// FFmpeg's libraries on bytes in memory: no protocol, no file, only the containers and codecs named in
// the source, one thread. Videos and sounds stand on it.
#ifndef KEEL_CORE_MEDIA_AV_INPUT_H_
#define KEEL_CORE_MEDIA_AV_INPUT_H_

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// "what: FFmpeg's words for it". kResourceExhausted if it lacks memory, else kInvalidArgument.
absl::Status AvError(absl::string_view what, int error);

// One stream of a container: its packets, and its frames. One thread at a time.
class AvInput {
 public:
  // The first stream of `type` in `bytes`, which must outlive the result. Frames of more than
  // `max_pixels` are refused.
  static absl::StatusOr<std::unique_ptr<AvInput>> Open(absl::string_view bytes, AVMediaType type,
                                                       int64_t max_pixels);
  AvInput(const AvInput&) = delete;
  AvInput& operator=(const AvInput&) = delete;
  ~AvInput();

  const AVFormatContext* format() const { return format_; }
  const AVStream* stream() const { return stream_; }

  // How many packets with a frame that is shown the stream has; reads on to the end. An error above
  // `max_frames`.
  absl::StatusOr<int64_t> CountFrames(int64_t max_frames);
  // Calls `take` with each frame from here on, in the order in which they are shown, until there are
  // no more or it returns false or an error. `lenient`: what can't be decoded is passed over.
  using FrameTaker = absl::FunctionRef<absl::StatusOr<bool>(const AVFrame& frame)>;
  absl::Status Decode(bool lenient, FrameTaker take);

 private:
  AvInput(absl::string_view bytes, int64_t max_pixels);
  absl::Status OpenContainer(AVMediaType type);
  absl::Status FindStreams();
  absl::Status OpenDecoder();
  // Into packet_; false at the end.
  absl::StatusOr<bool> NextPacket();
  absl::StatusOr<bool> TakeFrames(bool lenient, FrameTaker take);

  static int Read(void* self, uint8_t* to, int n);
  static int64_t Seek(void* self, int64_t offset, int whence);

  const absl::string_view bytes_;
  const int64_t max_pixels_;
  size_t at_ = 0;
  AVIOContext* io_ = nullptr;
  AVFormatContext* format_ = nullptr;
  const AVCodec* codec_ = nullptr;
  const AVStream* stream_ = nullptr;
  AVCodecContext* decoder_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* frame_ = nullptr;
};

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_AV_INPUT_H_
