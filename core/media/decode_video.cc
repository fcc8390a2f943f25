extern "C" {
#include <libswscale/swscale.h>
}

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/media/av_input.h"
#include "core/media/decode.h"
#include "core/media/frame_sampling.h"

namespace keel {
namespace {

constexpr absl::string_view kWhat = "is no video that can be decoded";

// Frames of one size to RGB, by the coefficients that they name.
class ToRgb {
 public:
  absl::Status Convert(const AVFrame& frame, uint8_t* rgb) {
    // PyAV's, and so what transformers sees. The last bits are as the CPU likes them.
    constexpr int kFlags = SWS_BILINEAR;
    const auto format = static_cast<AVPixelFormat>(frame.format);
    context_.reset(sws_getCachedContext(context_.release(), frame.width, frame.height, format,
                                        frame.width, frame.height, AV_PIX_FMT_RGB24, kFlags,
                                        nullptr, nullptr, nullptr));
    if (context_ == nullptr)
      return absl::InvalidArgumentError("its pixel format can't be converted");
    const int* const from = sws_getCoefficients(frame.colorspace);
    const bool full = frame.color_range == AVCOL_RANGE_JPEG;
    sws_setColorspaceDetails(context_.get(), from, full ? 1 : 0,
                             sws_getCoefficients(SWS_CS_DEFAULT),
                             /*dstRange=*/1, 0, 1 << 16, 1 << 16);
    uint8_t* const planes[] = {rgb, nullptr, nullptr, nullptr};
    const int strides[] = {3 * frame.width, 0, 0, 0};
    const int rows =
        sws_scale(context_.get(), frame.data, frame.linesize, 0, frame.height, planes, strides);
    return rows == frame.height ? absl::OkStatus() : AvError("swscale", rows);
  }

 private:
  struct Deleter {
    void operator()(SwsContext* context) const { sws_freeContext(context); }
  };
  std::unique_ptr<SwsContext, Deleter> context_;
};

// Takes the frames of `video.indices` out of all of a clip's.
class FrameTaker {
 public:
  FrameTaker(const AVStream* stream, const VideoOptions& options, MediaItem& video)
      : time_base_(av_q2d(stream->time_base)), options_(options), video_(video) {}

  // Whether more are wanted.
  absl::StatusOr<bool> Take(const AVFrame& frame) {
    const int64_t index = seen_++;
    if (index == 0) KEEL_RETURN_IF_ERROR(Begin(frame));
    if (index == video_.indices[video_.length]) KEEL_RETURN_IF_ERROR(Append(frame, index));
    return video_.length < static_cast<int64_t>(video_.indices.size());
  }

 private:
  absl::Status Begin(const AVFrame& frame) {
    const auto frames = static_cast<int64_t>(video_.indices.size());
    const int64_t pixels = int64_t{frame.width} * frame.height;
    if (pixels < 1) return absl::InvalidArgumentError("its frames are empty");
    if (pixels > options_.max_pixels / frames) {
      return absl::ResourceExhaustedError(absl::StrCat(
          frames, " frames of ", frame.width, " x ", frame.height, " pixels, expected at most ",
          options_.max_pixels, " pixels in all; ask for fewer or send a smaller clip"));
    }
    video_.height = frame.height;
    video_.width = frame.width;
    first_ = frame.best_effort_timestamp;
    return absl::OkStatus();
  }

  absl::Status Append(const AVFrame& frame, int64_t index) {
    if (frame.height != video_.height || frame.width != video_.width) {
      return absl::InvalidArgumentError(absl::StrCat("frame ", index, " is ", frame.width, " x ",
                                                     frame.height, " pixels, frame 0 ",
                                                     video_.width, " x ", video_.height));
    }
    const size_t begin = video_.rgb.size();
    video_.rgb.resize(begin + size_t{3} * frame.height * frame.width);
    KEEL_RETURN_IF_ERROR(to_rgb_.Convert(frame, video_.rgb.data() + begin));
    const bool timed = frame.best_effort_timestamp != AV_NOPTS_VALUE && first_ != AV_NOPTS_VALUE;
    const double by_rate = video_.rate > 0 ? static_cast<double>(index) / video_.rate : 0;
    video_.seconds.push_back(
        timed ? static_cast<double>(frame.best_effort_timestamp - first_) * time_base_ : by_rate);
    ++video_.length;
    return absl::OkStatus();
  }

  const double time_base_;
  const VideoOptions& options_;
  MediaItem& video_;
  ToRgb to_rgb_;
  int64_t seen_ = 0, first_ = AV_NOPTS_VALUE;
};

absl::StatusOr<MediaItem> Decode(absl::string_view bytes, const VideoOptions& options) {
  MediaItem video = {.modality = KEEL_MODALITY_VIDEO, .length = 0};
  {
    KEEL_ASSIGN_OR_RETURN(const auto input,
                          AvInput::Open(bytes, AVMEDIA_TYPE_VIDEO, options.max_pixels));
    const AVRational rate = input->stream()->avg_frame_rate;
    video.rate = rate.den > 0 && rate.num > 0 ? av_q2d(rate) : 0;
    KEEL_ASSIGN_OR_RETURN(video.total_frames, input->CountFrames(options.max_clip_frames));
  }
  if (video.total_frames == 0) return absl::InvalidArgumentError("it has no frame");
  KEEL_ASSIGN_OR_RETURN(video.indices, SampleFrames(options.sampling, video.total_frames,
                                                    video.rate, options.max_frames));
  // Headers may lie about the number of frames, so they were counted; now from the beginning.
  KEEL_ASSIGN_OR_RETURN(const auto input,
                        AvInput::Open(bytes, AVMEDIA_TYPE_VIDEO, options.max_pixels));
  FrameTaker taker(input->stream(), options, video);
  KEEL_RETURN_IF_ERROR(input->Decode(
      /*lenient=*/false, [&](const AVFrame& frame) { return taker.Take(frame); }));
  if (video.length == 0) return absl::InvalidArgumentError("none of its frames can be decoded");
  video.indices.resize(video.length);
  return video;
}

}  // namespace

absl::StatusOr<MediaItem> DecodeVideo(absl::string_view bytes, const VideoOptions& options) {
  absl::StatusOr<MediaItem> video = Decode(bytes, options);
  if (!video.ok()) return Annotate(video.status(), kWhat);
  return video;
}

}  // namespace keel
