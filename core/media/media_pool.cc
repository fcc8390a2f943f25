#include "core/media/media_pool.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/media/media.pb.h"
#include "core/media/media_process.h"

namespace keel {
namespace {

absl::Status Unfit(absl::string_view what, const std::string& found) {
  return absl::InternalError(absl::StrCat("keel-media gives ", found, " as ", what));
}

// Whether `frames` pictures of the size that a child tells are what it sent, and within a limit.
absl::Status CheckPixels(const MediaReply& reply, int64_t frames, int64_t max_pixels) {
  const int64_t height = reply.answer.height(), width = reply.answer.width();
  const auto bytes = static_cast<int64_t>(reply.data.size());
  const bool fits = height >= 1 && width >= 1 && frames >= 1 && bytes % (3 * frames) == 0 &&
                    height * width == bytes / (3 * frames) && bytes / 3 <= max_pixels;
  if (fits) return absl::OkStatus();
  return Unfit("pixels", absl::StrCat(bytes, " bytes for ", frames, " x ", height, " x ", width));
}

std::vector<uint8_t> Bytes(const std::string& data) { return {data.begin(), data.end()}; }

// Whether the frames of a video are told in an order that they can have.
absl::Status CheckTimes(const proto::MediaAnswer& answer) {
  bool fits = answer.seconds_size() == answer.indices_size() && answer.total_frames() >= 1 &&
              std::isfinite(answer.fps()) && answer.fps() >= 0;
  int64_t last = -1;
  for (const int64_t index : answer.indices()) {
    fits = fits && index > last && index < answer.total_frames();
    last = index;
  }
  for (const double seconds : answer.seconds()) fits = fits && std::isfinite(seconds);
  return fits ? absl::OkStatus() : Unfit("frames", "indices or times that can't be");
}

}  // namespace

MediaPool::MediaPool(const Options& options)
    : images_(options.size,
              [jail = options.jail] {
                return MediaProcess::Start(MediaProcess::Program::kImages, jail);
              }),
      audio_video_(options.size, [jail = options.jail] {
        return MediaProcess::Start(MediaProcess::Program::kAudioVideo, jail);
      }) {}

MediaPool::~MediaPool() = default;

absl::StatusOr<std::unique_ptr<MediaPool>> MediaPool::Create(const Options& options) {
  std::unique_ptr<MediaPool> pool(new MediaPool(options));
  KEEL_RETURN_IF_ERROR(pool->images_.Start());
  return pool;
}

absl::StatusOr<MediaReply> MediaPool::Ask(const proto::MediaRequest& request,
                                          absl::string_view bytes, absl::string_view what) {
  ChildPool<MediaProcess>& children = request.has_image() ? images_ : audio_video_;
  absl::StatusOr<MediaReply> reply =
      children.Use<MediaReply>([&](MediaProcess& child) { return child.Ask(request, bytes); });
  const absl::Status& status = reply.status();
  if (!absl::IsInvalidArgument(status) || absl::StartsWith(status.message(), what)) return reply;
  return Annotate(status, what);
}

absl::StatusOr<MediaItem> MediaPool::DecodeImage(absl::string_view bytes,
                                                 const ImageOptions& options) {
  proto::MediaRequest request;
  request.mutable_image()->set_max_pixels(options.max_pixels);
  KEEL_ASSIGN_OR_RETURN(const MediaReply reply,
                        Ask(request, bytes, "is no image that can be decoded"));
  KEEL_RETURN_IF_ERROR(CheckPixels(reply, 1, options.max_pixels));
  return MediaItem{
      .height = reply.answer.height(), .width = reply.answer.width(), .rgb = Bytes(reply.data)};
}

absl::StatusOr<MediaItem> MediaPool::DecodeVideo(absl::string_view bytes,
                                                 const VideoOptions& options) {
  proto::MediaRequest request;
  proto::DecodeVideo& video = *request.mutable_video();
  video.set_num_frames(options.sampling.num_frames);
  video.set_fps(options.sampling.fps);
  video.set_or_all(options.sampling.or_all);
  video.set_max_pixels(options.max_pixels);
  video.set_max_frames(options.max_frames);
  video.set_max_clip_frames(options.max_clip_frames);
  KEEL_ASSIGN_OR_RETURN(const MediaReply reply,
                        Ask(request, bytes, "is no video that can be decoded"));
  const proto::MediaAnswer& answer = reply.answer;
  KEEL_RETURN_IF_ERROR(CheckPixels(reply, answer.indices_size(), options.max_pixels));
  KEEL_RETURN_IF_ERROR(CheckTimes(answer));
  return MediaItem{.modality = KEEL_MODALITY_VIDEO,
                   .height = answer.height(),
                   .width = answer.width(),
                   .length = answer.indices_size(),
                   .rate = answer.fps(),
                   .rgb = Bytes(reply.data),
                   .indices = {answer.indices().begin(), answer.indices().end()},
                   .seconds = {answer.seconds().begin(), answer.seconds().end()},
                   .total_frames = answer.total_frames()};
}

absl::StatusOr<MediaItem> MediaPool::DecodeAudio(absl::string_view bytes,
                                                 const AudioOptions& options) {
  proto::MediaRequest request;
  request.mutable_audio()->set_rate(options.rate);
  request.mutable_audio()->set_max_seconds(options.max_seconds);
  KEEL_ASSIGN_OR_RETURN(const MediaReply reply,
                        Ask(request, bytes, "is no sound that can be decoded"));
  MediaItem audio = {.modality = KEEL_MODALITY_AUDIO};
  audio.rate = reply.answer.rate();
  audio.samples.resize(reply.data.size() / sizeof(float));
  audio.length = static_cast<int64_t>(audio.samples.size());
  const size_t used = audio.samples.size() * sizeof(float);
  const bool is_wanted = options.rate == 0 || audio.rate == options.rate;
  if (audio.rate < 1 || !is_wanted || audio.samples.empty() || used != reply.data.size())
    return Unfit("samples", absl::StrCat(reply.data.size(), " bytes at a rate of ", audio.rate));
  std::memcpy(audio.samples.data(), reply.data.data(), used);
  return audio;
}

}  // namespace keel
