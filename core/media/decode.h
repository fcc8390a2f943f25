// From the bytes of a file to pixels and samples. The format is told by the bytes' beginning alone.
//
// What comes from outside is decoded in a jail (media_pool.h): decoders are C libraries, whose
// mistakes no status can catch. Here each function runs in the calling process. Thread-safe.
// Errors: kInvalidArgument says what the bytes are not ("is no image that can be decoded: ..."),
// kResourceExhausted which limit they pass.
#ifndef KEEL_CORE_MEDIA_DECODE_H_
#define KEEL_CORE_MEDIA_DECODE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/media/decode_options.h"
#include "core/media/media_item.h"

namespace keel {

// PNG, JPEG, WebP or GIF; of an animation its first frame. The pixels are, byte for byte, those of
// Pillow's ImageOps.exif_transpose(Image.open(...)).convert("RGB"): alpha is dropped and not
// blended, 16 bit colour is cut and 16 bit grey is clipped to 8.
absl::StatusOr<MediaItem> DecodeImage(absl::string_view bytes, const ImageOptions& options);

// MP4, MOV, WebM, MKV or AVI with H.264, HEVC, VP8, VP9, AV1, MPEG-4 or MJPEG: frames that `sampling`
// chooses, fewer if the clip ends before it said. Frames are as stored: a rotation that the container
// notes is not applied, as with transformers.
absl::StatusOr<MediaItem> DecodeVideo(absl::string_view bytes, const VideoOptions& options);

// WAV, FLAC, MP3, OGG, or the sound of a container above; PCM, FLAC, MP3, Vorbis, Opus, AAC or ALAC.
// Parts that can't be decoded are passed over, if anything is left. Mean of the channels and resampled as
// librosa.load does.
absl::StatusOr<MediaItem> DecodeAudio(absl::string_view bytes, const AudioOptions& options);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_DECODE_H_
