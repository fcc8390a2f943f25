#include <webp/decode.h>
#include <webp/demux.h>

#include <cstddef>
#include <cstring>
#include <memory>

#include "core/base/status.h"
#include "core/media/image_formats.h"

namespace keel {
namespace {

std::string Chunk(const WebPDemuxer* demuxer, const char fourcc[4]) {
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demuxer, fourcc, 1, &chunk) == 0) return "";
  std::string bytes(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);
  WebPDemuxReleaseChunkIterator(&chunk);
  return bytes;
}

}  // namespace

// By the decoder of animations, which takes still images too: what it does to a first frame that is
// smaller than the image is then the same.
absl::StatusOr<StoredImage> DecodeWebp(absl::string_view bytes, int64_t max_pixels) {
  const WebPData data = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  int width = 0, height = 0;
  if (WebPGetInfo(data.bytes, data.size, &width, &height) == 0)
    return absl::InvalidArgumentError("its header is damaged");
  KEEL_RETURN_IF_ERROR(CheckSize(width, height, max_pixels));

  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0)
    return absl::InternalError("libwebp is another than this was built with");
  options.color_mode = MODE_RGBA;
  options.use_threads = 0;
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, &options), WebPAnimDecoderDelete);
  WebPAnimInfo info;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0)
    return absl::InvalidArgumentError("the file is damaged or ends too early");
  KEEL_RETURN_IF_ERROR(CheckSize(info.canvas_width, info.canvas_height, max_pixels));
  uint8_t* rgba = nullptr;
  int timestamp = 0;
  if (WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0)
    return absl::InvalidArgumentError("its pixels are damaged");

  StoredImage stored;
  stored.image.width = info.canvas_width;
  stored.image.height = info.canvas_height;
  const size_t pixels = size_t{info.canvas_width} * info.canvas_height;
  stored.image.rgb.resize(3 * pixels);
  for (size_t i = 0; i < pixels; ++i) std::memcpy(&stored.image.rgb[3 * i], rgba + 4 * i, 3);
  const WebPDemuxer* const demuxer = WebPAnimDecoderGetDemuxer(decoder.get());
  stored.exif = Chunk(demuxer, "EXIF");
  stored.xmp = Chunk(demuxer, "XMP ");
  return stored;
}

}  // namespace keel
