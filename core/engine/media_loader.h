// Media of a request, from where they are to pixels and samples, within the operator's limits.
#ifndef KEEL_CORE_ENGINE_MEDIA_LOADER_H_
#define KEEL_CORE_ENGINE_MEDIA_LOADER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/engine/media_input.h"
#include "core/model/options.h"

namespace keel {

class MediaPool;
class MediaSource;

// Thread-safe.
class MediaLoader {
 public:
  // Starts a first decoder; where there can be none, Load says why. INVALID_ARGUMENT: the directory of local media can't
  // be opened, which is relative to `base_dir`.
  static absl::StatusOr<std::unique_ptr<MediaLoader>> Create(const MediaOptions& options,
                                                             const std::string& base_dir);

  ~MediaLoader();

  // All of a request's, decoded, in order; sounds at `audio_rate` samples a second. On the calling thread, which may wait
  // for files, hosts and decoders for seconds. INVALID_ARGUMENT, with the item's name as its field: more of a modality than
  // allowed, nothing that may be read, nothing that can be decoded, too large. Else this machine is at fault.
  absl::StatusOr<MediaItems> Load(absl::Span<const MediaInput> media, int audio_rate) const;

 private:
  struct Wanted {
    int64_t max_pixels;
    int audio_rate;
  };

  MediaLoader(const MediaOptions& options, std::unique_ptr<MediaSource> source,
              absl::StatusOr<std::unique_ptr<MediaPool>> pool);
  absl::StatusOr<MediaItem> Read(const MediaInput& input, const Wanted& wanted) const;
  absl::StatusOr<MediaItem> Decode(uint32_t modality, absl::string_view bytes,
                                   const Wanted& wanted) const;

  const MediaOptions options_;
  const std::unique_ptr<MediaSource> source_;
  const absl::StatusOr<std::unique_ptr<MediaPool>> pool_;
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_MEDIA_LOADER_H_
