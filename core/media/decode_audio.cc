extern "C" {
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
}
#include <soxr.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/media/av_input.h"
#include "core/media/decode.h"

namespace keel {
namespace {

constexpr absl::string_view kWhat = "is no sound that can be decoded";
constexpr int kMaxRate = 768000;
constexpr int kMaxChannels = 64;
// A cover in a sound file is no frame of it.
constexpr int64_t kMaxPixels = 1;

// Frames of any sample format to one channel of floats.
class ToMono {
 public:
  absl::Status Append(const AVFrame& frame, std::vector<float>& samples) {
    const int channels = frame.ch_layout.nb_channels, n = frame.nb_samples;
    if (channels < 1 || channels > kMaxChannels || n < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("it has ", channels, " channels, expected 1 to ", kMaxChannels));
    }
    KEEL_RETURN_IF_ERROR(Prepare(frame));
    std::vector<float> planes(static_cast<size_t>(channels) * n);
    std::vector<uint8_t*> out(channels);
    for (int c = 0; c < channels; ++c)
      out[c] = reinterpret_cast<uint8_t*>(planes.data() + static_cast<size_t>(c) * n);
    const int converted = swr_convert(context_.get(), out.data(), n,
                                      const_cast<const uint8_t**>(frame.extended_data), n);
    if (converted != n) return AvError("swresample", std::min(converted, AVERROR_EXTERNAL));
    for (int i = 0; i < n; ++i) {
      float sum = 0;
      for (int c = 0; c < channels; ++c) sum += planes[static_cast<size_t>(c) * n + i];
      samples.push_back(sum / static_cast<float>(channels));
    }
    return absl::OkStatus();
  }

 private:
  struct Deleter {
    void operator()(SwrContext* context) const { swr_free(&context); }
  };

  // A context for frames like this one.
  absl::Status Prepare(const AVFrame& frame) {
    if (context_ != nullptr && frame.format == format_ && frame.ch_layout.nb_channels == channels_)
      return absl::OkStatus();
    AVChannelLayout layout = {};
    layout.order = AV_CHANNEL_ORDER_UNSPEC;  // they are averaged, whatever they stand for
    layout.nb_channels = frame.ch_layout.nb_channels;
    SwrContext* context = nullptr;
    int error = swr_alloc_set_opts2(&context, &layout, AV_SAMPLE_FMT_FLTP, frame.sample_rate,
                                    &layout, static_cast<AVSampleFormat>(frame.format),
                                    frame.sample_rate, 0, nullptr);
    context_.reset(context);
    if (error >= 0) error = swr_init(context);
    if (error < 0) return AvError("swresample", error);
    format_ = frame.format;
    channels_ = frame.ch_layout.nb_channels;
    return absl::OkStatus();
  }

  std::unique_ptr<SwrContext, Deleter> context_;
  int format_ = -1, channels_ = 0;
};

absl::StatusOr<MediaItem> DecodeStored(absl::string_view bytes, double max_seconds) {
  KEEL_ASSIGN_OR_RETURN(const auto input, AvInput::Open(bytes, AVMEDIA_TYPE_AUDIO, kMaxPixels));
  MediaItem audio = {.modality = KEEL_MODALITY_AUDIO};
  ToMono to_mono;
  KEEL_RETURN_IF_ERROR(input->Decode(
      /*lenient=*/true, [&](const AVFrame& frame) -> absl::StatusOr<bool> {
        if (audio.rate == 0) audio.rate = frame.sample_rate;
        if (frame.sample_rate != audio.rate || frame.sample_rate < 1 ||
            frame.sample_rate > kMaxRate) {
          return absl::InvalidArgumentError(
              absl::StrCat("its rate is ", frame.sample_rate, ", expected one of 1 to ", kMaxRate));
        }
        KEEL_RETURN_IF_ERROR(to_mono.Append(frame, audio.samples));
        if (static_cast<double>(audio.samples.size()) <= max_seconds * audio.rate) return true;
        return absl::ResourceExhaustedError(
            absl::StrCat("it is longer than ", max_seconds, " s; send a shorter one"));
      }));
  if (audio.samples.empty()) return absl::InvalidArgumentError("it has no samples");
  return audio;
}

// As librosa does: soxr's high quality, and a length of ceil(n * to / from).
absl::StatusOr<MediaItem> Resampled(MediaItem audio, int rate) {
  if (rate == audio.rate) return audio;
  MediaItem out = {.modality = KEEL_MODALITY_AUDIO, .rate = static_cast<double>(rate)};
  const auto n = static_cast<int64_t>(audio.samples.size()),
             from = static_cast<int64_t>(audio.rate);
  out.samples.resize((n * rate + from - 1) / from);
  const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  const soxr_runtime_spec_t runtime = soxr_runtime_spec(/*num_threads=*/1);
  size_t read = 0, written = 0;
  const soxr_error_t error =
      soxr_oneshot(audio.rate, rate, 1, audio.samples.data(), audio.samples.size(), &read,
                   out.samples.data(), out.samples.size(), &written, &io, &quality, &runtime);
  if (error != nullptr)
    return absl::InvalidArgumentError(absl::StrCat("soxr: ", soxr_strerror(error)));
  return out;
}

}  // namespace

absl::StatusOr<MediaItem> DecodeAudio(absl::string_view bytes, const AudioOptions& options) {
  if (options.rate < 0 || options.rate > kMaxRate) {
    return absl::InvalidArgumentError(
        absl::StrCat("a rate of ", options.rate, " is wanted, expected 0 to ", kMaxRate));
  }
  absl::StatusOr<MediaItem> audio = DecodeStored(bytes, options.max_seconds);
  if (audio.ok() && options.rate != 0) audio = Resampled(*std::move(audio), options.rate);
  if (!audio.ok()) return Annotate(audio.status(), kWhat);
  audio->length = static_cast<int64_t>(audio->samples.size());
  KEEL_RETURN_IF_ERROR(Annotate(CheckMediaItem(*audio), kWhat));
  return audio;
}

}  // namespace keel
