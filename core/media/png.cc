#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/media/image_formats.h"

namespace keel {
namespace {

// libpng reports errors by longjmp: calls that may fail go through Try, in functions that hold
// nothing to be destroyed.
class PngReader {
 public:
  explicit PngReader(absl::string_view bytes)
      : left_(bytes),
        png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, this, OnError, OnWarning)),
        info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)) {}
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  absl::StatusOr<StoredImage> Decode(int64_t max_pixels) {
    if (info_ == nullptr) return absl::ResourceExhaustedError("no memory");
    KEEL_RETURN_IF_ERROR(Try([this] {
      png_set_read_fn(png_, this, OnRead);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_read_info(png_, info_);
    }));
    StoredImage stored;
    KEEL_RETURN_IF_ERROR(ReadPixels(max_pixels, stored.image));
    // As in Pillow, what is wrong behind the pixels does not matter.
    Try([this] { png_read_end(png_, info_); }).IgnoreError();
    ReadNotes(stored);
    return stored;
  }

 private:
  template <typename F>
  absl::Status Try(F call) {
    if (setjmp(png_jmpbuf(png_)) != 0) return absl::InvalidArgumentError(error_);
    call();
    return absl::OkStatus();
  }

  static void OnError(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self->error_, message, sizeof(self->error_) - 1);
    png_longjmp(png, 1);
  }
  static void OnWarning(png_structp, png_const_charp) {}
  static void OnRead(png_structp png, png_bytep to, size_t n) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (n > self->left_.size()) png_error(png, "the file ends too early");
    std::memcpy(to, self->left_.data(), n);
    self->left_.remove_prefix(n);
  }

  absl::Status ReadPixels(int64_t max_pixels, MediaItem& image) {
    const png_uint_32 width = png_get_image_width(png_, info_);
    const png_uint_32 height = png_get_image_height(png_, info_);
    KEEL_RETURN_IF_ERROR(CheckSize(width, height, max_pixels));
    image.width = width;
    image.height = height;
    const bool palette = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE;
    const bool grey16 = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY &&
                        png_get_bit_depth(png_, info_) == 16;
    KEEL_RETURN_IF_ERROR(Try([&] { Transform(palette, grey16); }));
    const size_t channels = palette ? 1 : grey16 ? 2 : 3;
    if (png_get_rowbytes(png_, info_) != channels * width)
      return absl::InternalError("libpng gives rows of another size");
    std::vector<uint8_t> pixels(channels * width * height);
    std::vector<png_bytep> rows(height);
    for (size_t y = 0; y < height; ++y) rows[y] = pixels.data() + y * channels * width;
    KEEL_RETURN_IF_ERROR(Try([&] { png_read_image(png_, rows.data()); }));
    if (palette) {
      image.rgb = OfPalette(pixels);
    } else {
      image.rgb = grey16 ? OfGrey16(pixels) : std::move(pixels);
    }
    return absl::OkStatus();
  }

  // Indices of a palette and grey of 16 bits stay as they are, all else becomes RGB of 8 bits.
  void Transform(bool palette, bool grey16) {
    png_set_interlace_handling(png_);
    if (palette) {
      png_set_packing(png_);
    } else if (!grey16) {
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      png_set_gray_to_rgb(png_);
    }
    png_read_update_info(png_, info_);
  }

  // An index that the palette lacks is black.
  std::vector<uint8_t> OfPalette(const std::vector<uint8_t>& indices) const {
    png_colorp colors = nullptr;
    int n = 0;
    png_get_PLTE(png_, info_, &colors, &n);
    uint8_t table[256][3] = {};
    for (int i = 0; i < std::min(n, 256); ++i) {
      table[i][0] = colors[i].red;
      table[i][1] = colors[i].green;
      table[i][2] = colors[i].blue;
    }
    std::vector<uint8_t> rgb(3 * indices.size());
    for (size_t i = 0; i < indices.size(); ++i) std::memcpy(&rgb[3 * i], table[indices[i]], 3);
    return rgb;
  }

  static std::vector<uint8_t> OfGrey16(const std::vector<uint8_t>& pixels) {
    std::vector<uint8_t> rgb(pixels.size() / 2 * 3);
    for (size_t i = 0; i < pixels.size() / 2; ++i) {
      const uint8_t high = pixels[2 * i], low = pixels[2 * i + 1];
      std::memset(&rgb[3 * i], high == 0 ? low : 255, 3);
    }
    return rgb;
  }

  void ReadNotes(StoredImage& stored) const {
    png_bytep exif = nullptr;
    png_uint_32 exif_bytes = 0;
    if (png_get_eXIf_1(png_, info_, &exif_bytes, &exif) != 0 && exif != nullptr)
      stored.exif.assign(reinterpret_cast<const char*>(exif), exif_bytes);
    png_textp texts = nullptr;
    int n = 0;
    png_get_text(png_, info_, &texts, &n);
    for (int i = 0; i < n; ++i) {
      const absl::string_view key = texts[i].key;
      if (texts[i].text == nullptr) continue;
      if (key == "XML:com.adobe.xmp") stored.xmp = texts[i].text;
      if (key == "Raw profile type exif" && stored.exif.empty())
        stored.exif = OfRawProfile(texts[i].text);
    }
  }

  // ImageMagick's form: two lines, a length, hexadecimal digits over lines.
  static std::string OfRawProfile(absl::string_view text) {
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    std::string digits;
    for (size_t i = 3; i < lines.size(); ++i) absl::StrAppend(&digits, lines[i]);
    if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit)) return "";
    return absl::HexStringToBytes(digits);
  }

  absl::string_view left_;
  char error_[200] = {};
  png_structp png_;
  png_infop info_;
};

}  // namespace

absl::StatusOr<StoredImage> DecodePng(absl::string_view bytes, int64_t max_pixels) {
  return PngReader(bytes).Decode(max_pixels);
}

}  // namespace keel
