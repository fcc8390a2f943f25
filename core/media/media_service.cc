#include "core/media/media_service.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/media/media.pb.h"
#include "core/remote/channel.h"
#include "core/remote/jail.h"

namespace keel {
namespace {

// An answer and the frame behind it.
struct Reply {
  proto::MediaAnswer answer;
  std::vector<uint8_t> data;
};

absl::Status DecodeOneImage(const proto::DecodeImage& request, absl::string_view bytes,
                            const MediaDecoders& decoders, Reply& reply) {
  KEEL_ASSIGN_OR_RETURN(MediaItem image,
                        decoders.image(bytes, {.max_pixels = request.max_pixels()}));
  reply.answer.set_height(static_cast<int32_t>(image.height));
  reply.answer.set_width(static_cast<int32_t>(image.width));
  reply.data = std::move(image.rgb);
  return absl::OkStatus();
}

absl::Status DecodeOneVideo(const proto::DecodeVideo& request, absl::string_view bytes,
                            const MediaDecoders& decoders, Reply& reply) {
  VideoOptions options;
  options.sampling = {
      .num_frames = request.num_frames(), .fps = request.fps(), .or_all = request.or_all()};
  options.max_pixels = request.max_pixels();
  options.max_frames = request.max_frames();
  options.max_clip_frames = request.max_clip_frames();
  KEEL_ASSIGN_OR_RETURN(MediaItem video, decoders.video(bytes, options));
  reply.answer.set_height(static_cast<int32_t>(video.height));
  reply.answer.set_width(static_cast<int32_t>(video.width));
  reply.answer.mutable_indices()->Add(video.indices.begin(), video.indices.end());
  reply.answer.mutable_seconds()->Add(video.seconds.begin(), video.seconds.end());
  reply.answer.set_total_frames(video.total_frames);
  reply.answer.set_fps(video.rate);
  reply.data = std::move(video.rgb);
  return absl::OkStatus();
}

absl::Status DecodeOneAudio(const proto::DecodeAudio& request, absl::string_view bytes,
                            const MediaDecoders& decoders, Reply& reply) {
  KEEL_ASSIGN_OR_RETURN(
      const MediaItem audio,
      decoders.audio(bytes, {.rate = request.rate(), .max_seconds = request.max_seconds()}));
  reply.answer.set_rate(static_cast<int32_t>(audio.rate));
  const auto* samples = reinterpret_cast<const uint8_t*>(audio.samples.data());
  reply.data.assign(samples, samples + audio.samples.size() * sizeof(float));
  return absl::OkStatus();
}

absl::Status Dispatch(const proto::MediaRequest& request, absl::string_view bytes,
                      const MediaDecoders& decoders, Reply& reply) {
  if (request.has_image() && decoders.image != nullptr)
    return DecodeOneImage(request.image(), bytes, decoders, reply);
  if (request.has_video() && decoders.video != nullptr)
    return DecodeOneVideo(request.video(), bytes, decoders, reply);
  if (request.has_audio() && decoders.audio != nullptr)
    return DecodeOneAudio(request.audio(), bytes, decoders, reply);
  return absl::InternalError("a request of a kind that this program does not decode");
}

absl::Status Answer(int channel, const proto::MediaRequest& request, absl::string_view bytes,
                    const MediaDecoders& decoders, const JailLimits& limits) {
  Reply reply;
  absl::Status status;
  try {
    status = Dispatch(request, bytes, decoders, reply);
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError(
        absl::StrCat("takes more memory to decode than ", limits.memory_bytes, " bytes"));
  }
  // What a channel can't carry the host would not take.
  if (status.ok() && reply.data.size() > kMaxFrameBytes) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        "decoded it has ", reply.data.size(), " bytes, expected at most ", kMaxFrameBytes));
  }
  reply.answer.set_code(static_cast<int>(status.code()));
  reply.answer.set_message(std::string(status.message()));
  KEEL_RETURN_IF_ERROR(WriteFrame(channel, reply.answer.SerializeAsString()));
  if (!status.ok()) return absl::OkStatus();
  return WriteFrame(channel, {reinterpret_cast<const char*>(reply.data.data()), reply.data.size()});
}

absl::Status Serve(int channel, const MediaDecoders& decoders, const JailLimits& limits) {
  while (true) {
    KEEL_ASSIGN_OR_RETURN(const std::string frame, ReadFrame(channel));
    KEEL_ASSIGN_OR_RETURN(const std::string bytes, ReadFrame(channel));
    proto::MediaRequest request;
    request.ParseFromString(frame);
    KEEL_RETURN_IF_ERROR(Answer(channel, request, bytes, decoders, limits));
  }
}

// The exit status.
int Run(const MediaDecoders& decoders, const JailLimits& limits) {
  constexpr int kChannel = 3;
  const absl::StatusOr<Jail> jail = Jail::Enter(limits);
  // A build with a sanitizer is for finding mistakes, and has no jail.
  if (!jail.ok() && !absl::IsUnimplemented(jail.status())) {
    std::fprintf(stderr, "%s\n", std::string(jail.status().message()).c_str());
    return Jail::kNotEntered;
  }
  Serve(kChannel, decoders, limits).IgnoreError();  // the host is gone
  return 0;
}

}  // namespace

int MediaServiceMain(int argc, char** argv, const MediaDecoders& decoders) {
  JailLimits limits;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &limits.memory_bytes) ||
      !absl::SimpleAtoi(argv[2], &limits.cpu_seconds)) {
    std::fprintf(stderr, "%s is started by Keel, to decode images, videos and sounds\n", argv[0]);
    return 2;
  }
  _exit(Run(decoders, limits));
}

}  // namespace keel
