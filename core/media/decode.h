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
#include "core/media/media.h"

namespace keel {

// PNG, JPEG, WebP or GIF; of an animation its first frame. The pixels are, byte for byte, those of
// Pillow's ImageOps.exif_transpose(Image.open(...)).convert("RGB"): alpha is dropped and not
// blended, 16 bit colour is cut and 16 bit grey is clipped to 8.
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const ImageOptions& options);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_DECODE_H_
