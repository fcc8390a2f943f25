// The bytes of media that a request refers to: within it, in a file, on the web.
#ifndef KEEL_CORE_MEDIA_SOURCE_H_
#define KEEL_CORE_MEDIA_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_descriptor.h"
#include "core/media/fetch.h"

namespace keel {

// Base64 of the standard alphabet, padded, nothing else in it. kResourceExhausted before anything is
// decoded if it is more than `max_bytes`.
absl::StatusOr<std::string> DecodeBase64(absl::string_view text, int64_t max_bytes);

// Thread-safe.
class MediaSource {
 public:
  struct Options {
    int64_t max_bytes = 64 << 20;          // of one item
    std::string allowed_local_media_path;  // files below this directory may be read; "": none
    FetchOptions fetch;                    // its max_bytes is not read
  };

  // kInvalidArgument if the directory can't be opened.
  static absl::StatusOr<std::unique_ptr<MediaSource>> Create(const Options& options);

  // What `url` refers to:
  //   data:image/png;base64,...  the type is not believed, nor checked against the bytes
  //   file:///path               below --allowed-local-media-path, and no link leads out of it
  //   https://..., http://...    as Fetch
  // kInvalidArgument, kPermissionDenied, kResourceExhausted, kNotFound, and Fetch's. Errors quote
  // nothing of a data URL.
  absl::StatusOr<std::string> Read(const std::string& url) const;

 private:
  explicit MediaSource(const Options& options);
  absl::StatusOr<std::string> ReadLocal(absl::string_view rest) const;

  Options options_;
  FileDescriptor directory_;
  std::string real_directory_;  // with no link left in it
};

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_SOURCE_H_
