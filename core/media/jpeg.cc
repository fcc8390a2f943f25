#include <stdio.h>  // jpeglib.h needs it
//
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/media/image_formats.h"

namespace keel {
namespace {

constexpr absl::string_view kExifHeader("Exif\0\0", 6);
constexpr absl::string_view kXmpHeader("http://ns.adobe.com/xap/1.0/\0", 29);
constexpr unsigned kMaxMarkerBytes = 0xffff;

// As Pillow multiplies two fractions of 255.
int Times(int a, int b) {
  const int product = a * b + 128;
  return (product + (product >> 8)) >> 8;
}

// Inks are stored inverted, as Adobe does.
void OfInks(const uint8_t* cmyk, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int light = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      rgb[c] = static_cast<uint8_t>(std::max(0, light - Times(255 - cmyk[c], light)));
    }
  }
}

// libjpeg reports errors by longjmp: calls that may fail go through Try, in functions that hold
// nothing to be destroyed.
class JpegReader {
 public:
  explicit JpegReader(absl::string_view bytes) : bytes_(bytes) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = OnError;
    errors_.output_message = [](j_common_ptr) {};
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.skip_input_data = Skip;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source_.bytes_in_buffer = bytes.size();
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() {
    if (created_) jpeg_destroy_decompress(&jpeg_);
  }

  absl::StatusOr<StoredImage> Decode(int64_t max_pixels) {
    int header = JPEG_SUSPENDED;
    KEEL_RETURN_IF_ERROR(Try([&] {
      jpeg_create_decompress(&jpeg_);
      created_ = true;
      jpeg_.src = &source_;
      jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, kMaxMarkerBytes);
      header = jpeg_read_header(&jpeg_, TRUE);
    }));
    if (header != JPEG_HEADER_OK) return Truncated();
    KEEL_RETURN_IF_ERROR(CheckSize(jpeg_.image_width, jpeg_.image_height, max_pixels));
    StoredImage stored;
    KEEL_RETURN_IF_ERROR(ReadPixels(stored.image));
    ReadNotes(stored);
    return stored;
  }

 private:
  template <typename F>
  absl::Status Try(F call) {
    if (setjmp(jump_) != 0) return absl::InvalidArgumentError(error_);
    call();
    return absl::OkStatus();
  }

  static void OnError(j_common_ptr jpeg) {
    auto* self = static_cast<JpegReader*>(jpeg->client_data);
    jpeg->err->format_message(jpeg, self->error_);
    longjmp(self->jump_, 1);
  }
  static void Skip(j_decompress_ptr jpeg, long n) {  // NOLINT: libjpeg's type
    if (n <= 0) return;
    const size_t skipped = std::min(static_cast<size_t>(n), jpeg->src->bytes_in_buffer);
    jpeg->src->next_input_byte += skipped;
    jpeg->src->bytes_in_buffer -= skipped;
  }
  static absl::Status Truncated() { return absl::InvalidArgumentError("the file ends too early"); }

  absl::Status ReadPixels(MediaItem& image) {
    const int components = jpeg_.num_components;
    if (components != 1 && components != 3 && components != 4) {
      return absl::InvalidArgumentError(
          absl::StrCat("it has ", components, " components, expected 1, 3 or 4"));
    }
    jpeg_.out_color_space = components == 4 ? JCS_CMYK : JCS_RGB;
    boolean started = FALSE;
    KEEL_RETURN_IF_ERROR(Try([&] { started = jpeg_start_decompress(&jpeg_); }));
    if (started == FALSE) return Truncated();
    image.width = jpeg_.output_width;
    image.height = jpeg_.output_height;
    const size_t row_bytes = size_t{3} * jpeg_.output_width;
    image.rgb.resize(row_bytes * jpeg_.output_height);
    std::vector<uint8_t> inks(components == 4 ? size_t{4} * jpeg_.output_width : 0);
    for (size_t y = 0; y < jpeg_.output_height; ++y) {
      uint8_t* const to = image.rgb.data() + y * row_bytes;
      JSAMPROW row = inks.empty() ? to : inks.data();
      unsigned read = 0;
      KEEL_RETURN_IF_ERROR(Try([&] { read = jpeg_read_scanlines(&jpeg_, &row, 1); }));
      if (read == 0) return Truncated();
      if (!inks.empty()) OfInks(inks.data(), static_cast<int>(image.width), to);
    }
    return absl::OkStatus();
  }

  void ReadNotes(StoredImage& stored) const {
    for (jpeg_saved_marker_ptr marker = jpeg_.marker_list; marker != nullptr;
         marker = marker->next) {
      absl::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (absl::ConsumePrefix(&data, kExifHeader)) {
        absl::StrAppend(&stored.exif, data);
      } else if (absl::ConsumePrefix(&data, kXmpHeader)) {
        stored.xmp = std::string(data);
      }
    }
  }

  absl::string_view bytes_;
  jmp_buf jump_;
  char error_[JMSG_LENGTH_MAX] = {};
  jpeg_error_mgr errors_ = {};
  jpeg_source_mgr source_ = {};
  jpeg_decompress_struct jpeg_ = {};
  bool created_ = false;
};

}  // namespace

absl::StatusOr<StoredImage> DecodeJpeg(absl::string_view bytes, int64_t max_pixels) {
  return JpegReader(bytes).Decode(max_pixels);
}

}  // namespace keel
