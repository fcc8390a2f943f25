#include <gif_lib.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/media/image_formats.h"

namespace keel {
namespace {

struct Closer {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};
using Gif = std::unique_ptr<GifFileType, Closer>;

int Read(GifFileType* gif, GifByteType* to, int n) {
  auto& left = *static_cast<absl::string_view*>(gif->UserData);
  const size_t read = std::min(left.size(), static_cast<size_t>(n));
  std::memcpy(to, left.data(), read);
  left.remove_prefix(read);
  return static_cast<int>(read);
}

absl::Status Failed(int error) {
  const char* text = GifErrorString(error);
  return absl::InvalidArgumentError(text != nullptr ? text : "it is damaged");
}

// Reads on to the first frame's descriptor. `transparent`: its transparent index, or -1.
absl::Status FindFrame(GifFileType* gif, int& transparent) {
  transparent = NO_TRANSPARENT_COLOR;
  while (true) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR) return Failed(gif->Error);
    if (type == TERMINATE_RECORD_TYPE) return absl::InvalidArgumentError("it has no frame");
    if (type == IMAGE_DESC_RECORD_TYPE) break;
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) return Failed(gif->Error);
    while (block != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent = control.TransparentColor;
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) return Failed(gif->Error);
    }
  }
  return DGifGetImageDesc(gif) == GIF_OK ? absl::OkStatus() : Failed(gif->Error);
}

// The rows of a frame in the order in which they are stored.
std::vector<int> RowOrder(int height, bool interlaced) {
  struct Pass {
    int begin, step;
  };
  constexpr Pass kInterlaced[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  std::vector<int> order;
  order.reserve(height);
  if (!interlaced) {
    for (int y = 0; y < height; ++y) order.push_back(y);
    return order;
  }
  for (const Pass& pass : kInterlaced) {
    for (int y = pass.begin; y < height; y += pass.step) order.push_back(y);
  }
  return order;
}

// An index that the palette lacks is black; a file without a palette is grey.
void FillTable(const ColorMapObject* colors, uint8_t table[256][3]) {
  for (int i = 0; i < 256; ++i) {
    if (colors == nullptr) {
      std::memset(table[i], i, 3);
    } else if (i < colors->ColorCount) {
      table[i][0] = colors->Colors[i].Red;
      table[i][1] = colors->Colors[i].Green;
      table[i][2] = colors->Colors[i].Blue;
    } else {
      std::memset(table[i], 0, 3);
    }
  }
}

}  // namespace

absl::StatusOr<StoredImage> DecodeGif(absl::string_view bytes, int64_t max_pixels) {
  int error = 0;
  const Gif gif(DGifOpen(&bytes, Read, &error));
  if (gif == nullptr) return Failed(error);
  KEEL_RETURN_IF_ERROR(CheckSize(gif->SWidth, gif->SHeight, max_pixels));
  int transparent = 0;
  KEEL_RETURN_IF_ERROR(FindFrame(gif.get(), transparent));
  const GifImageDesc& frame = gif->Image;
  // A frame may reach over the screen's border, which then moves.
  const int width = std::max(gif->SWidth, frame.Left + frame.Width);
  const int height = std::max(gif->SHeight, frame.Top + frame.Height);
  KEEL_RETURN_IF_ERROR(CheckSize(frame.Width, frame.Height, max_pixels));
  KEEL_RETURN_IF_ERROR(CheckSize(width, height, max_pixels));

  // Around the frame, what is transparent, or the first colour.
  const size_t row_bytes = width;
  std::vector<uint8_t> indices(row_bytes * height,
                               static_cast<uint8_t>(transparent >= 0 ? transparent : 0));
  for (const int y : RowOrder(frame.Height, frame.Interlace)) {
    uint8_t* const row = indices.data() + (frame.Top + y) * row_bytes + frame.Left;
    if (DGifGetLine(gif.get(), row, frame.Width) == GIF_ERROR) return Failed(gif->Error);
  }

  uint8_t table[256][3];
  FillTable(frame.ColorMap != nullptr ? frame.ColorMap : gif->SColorMap, table);
  StoredImage stored;
  stored.image = {.height = height, .width = width};
  stored.image.rgb.resize(3 * indices.size());
  for (size_t i = 0; i < indices.size(); ++i)
    std::memcpy(&stored.image.rgb[3 * i], table[indices[i]], 3);
  return stored;
}

}  // namespace keel
