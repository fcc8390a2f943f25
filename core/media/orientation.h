// Which way up an image is: a camera notes how it was held and stores pixels as its sensor has them.
#ifndef KEEL_CORE_MEDIA_ORIENTATION_H_
#define KEEL_CORE_MEDIA_ORIENTATION_H_

#include "absl/strings/string_view.h"
#include "core/media/media_item.h"

namespace keel {

// 1 to 8, as EXIF numbers them: 1 is upright. `exif` (a TIFF structure, "Exif\0\0" before it or not)
// goes before `xmp`; 1 if neither says, or in no way that can be read.
int OrientationOf(absl::string_view exif, absl::string_view xmp);

// Turns and mirrors `image` so that it is upright.
MediaItem Upright(MediaItem image, int orientation);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_ORIENTATION_H_
