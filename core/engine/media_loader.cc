#include "core/engine/media_loader.h"

#include <map>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/media/media_pool.h"
#include "core/media/source.h"

namespace keel {
namespace {

// The client can do something about it. What stands against decoders on this machine, none can.
bool IsClients(const absl::Status& status) { return !absl::IsInternal(status); }

absl::Status CheckCounts(absl::Span<const MediaInput> media,
                         const std::map<std::string, int64_t>& limits) {
  std::map<std::string, int64_t> counts;
  for (size_t i = 0; i < media.size(); ++i) {
    const std::string modality = ModalityName(media[i].modality);
    const auto limit = limits.find(modality);
    const int64_t most = limit == limits.end() ? MediaOptions::kUsualLimit : limit->second;
    if (++counts[modality] <= most) continue;
    const std::string name = media[i].Name(i);
    return WithField(absl::InvalidArgumentError(absl::StrCat(
                         name, " is ", modality, " ", counts[modality],
                         " of the request, expected at most ", most, " (--limit-mm-per-prompt)")),
                     name);
  }
  return absl::OkStatus();
}

// No program, or no jail for it.
absl::Status NotHere(const absl::Status& status) {
  return absl::InternalError(absl::StrCat("can't be decoded on this machine: ", status.message()));
}

FrameSampling Sampling(const MediaOptions& options) {
  const bool by_time = options.video_fps > 0;
  return {
      .num_frames = by_time ? 0 : options.video_frames, .fps = options.video_fps, .or_all = true};
}

int64_t Pixels(const MediaItem& item) { return static_cast<int64_t>(item.rgb.size()) / 3; }

}  // namespace

MediaLoader::MediaLoader(const MediaOptions& options, std::unique_ptr<MediaSource> source,
                         absl::StatusOr<std::unique_ptr<MediaPool>> pool)
    : options_(options), source_(std::move(source)), pool_(std::move(pool)) {}

MediaLoader::~MediaLoader() = default;

absl::StatusOr<std::unique_ptr<MediaLoader>> MediaLoader::Create(const MediaOptions& options,
                                                                 const std::string& base_dir) {
  MediaSource::Options source;
  source.max_bytes = options.max_bytes;
  if (!options.allowed_local_path.empty())
    source.allowed_local_media_path = JoinPath(base_dir, options.allowed_local_path);
  source.fetch.allowed_domains = options.allowed_domains;
  auto opened = MediaSource::Create(source);
  if (!opened.ok()) return WithFlag(opened.status(), "allowed-local-media-path");
  return std::unique_ptr<MediaLoader>(new MediaLoader(
      options, *std::move(opened), MediaPool::Create({.size = options.decoding_processes})));
}

absl::StatusOr<MediaItem> MediaLoader::Decode(uint32_t modality, absl::string_view bytes,
                                              const Wanted& wanted) const {
  if (!pool_.ok()) return NotHere(pool_.status());
  MediaPool& pool = **pool_;
  if (static_cast<int64_t>(bytes.size()) > options_.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("has ", bytes.size(),
                                                     " bytes, expected at most ",
                                                     options_.max_bytes, " (--max-media-bytes)"));
  }
  absl::StatusOr<MediaItem> item =
      modality == KEEL_MODALITY_IMAGE   ? pool.DecodeImage(bytes, {.max_pixels = wanted.max_pixels})
      : modality == KEEL_MODALITY_VIDEO ? pool.DecodeVideo(bytes, {.sampling = Sampling(options_),
                                                                   .max_pixels = wanted.max_pixels})
                                        : pool.DecodeAudio(bytes, {.rate = wanted.audio_rate});
  if (absl::IsNotFound(item.status()) || absl::IsFailedPrecondition(item.status()))
    return NotHere(item.status());
  return item;
}

absl::StatusOr<MediaItem> MediaLoader::Read(const MediaInput& input, const Wanted& wanted) const {
  if (const auto* file = std::get_if<MediaInput::File>(&input.content))
    return Decode(input.modality, *file->bytes, wanted);
  const auto& url = std::get<MediaInput::Url>(input.content);
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, source_->Read(*url.url));
  return Decode(input.modality, bytes, wanted);
}

absl::StatusOr<MediaItems> MediaLoader::Load(absl::Span<const MediaInput> media,
                                             int audio_rate) const {
  KEEL_RETURN_IF_ERROR(CheckCounts(media, options_.limits));
  MediaItems items;
  int64_t pixels_left = options_.max_pixels;
  for (size_t i = 0; i < media.size(); ++i) {
    if (const auto* item = std::get_if<std::shared_ptr<const MediaItem>>(&media[i].content)) {
      items.push_back(*item);
      continue;
    }
    absl::StatusOr<MediaItem> item = Read(media[i], {pixels_left, audio_rate});
    if (!item.ok()) {
      const std::string name = media[i].Name(i);
      const absl::StatusCode code =
          IsClients(item.status()) ? absl::StatusCode::kInvalidArgument : item.status().code();
      return WithField(absl::Status(code, absl::StrCat(name, " ", item.status().message())), name);
    }
    pixels_left -= Pixels(*item);
    items.push_back(std::make_shared<const MediaItem>(*std::move(item)));
  }
  return items;
}

}  // namespace keel
