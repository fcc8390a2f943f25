// Files of a model or a user, which may be missing, huge, a directory or a device: every error
// names the path.
#ifndef KEEL_CORE_BASE_FILE_H_
#define KEEL_CORE_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

// The size of the regular file at `path` (links are followed). Errors: kNotFound,
// kPermissionDenied, kInvalidArgument for a directory, device or pipe.
absl::StatusOr<int64_t> RegularFileSize(const std::string& path);

bool IsRegularFile(const std::string& path);
bool IsDirectory(const std::string& path);

// The whole file; kResourceExhausted if it is larger than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes = 64 << 20);

// "dir/name"; `name` itself if it is absolute or `dir` is empty.
std::string JoinPath(absl::string_view dir, absl::string_view name);

// A regular file mapped read-only, unmapped by the destructor. Move-only; the bytes stay where they
// are when the object moves. A file that another process truncates while it is mapped raises SIGBUS
// on access: the size is checked here, once.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::Span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Hints for the pages within `part` of a mapped file. PrefetchPages starts reading them; DropPages
// takes them out of the process's memory (a later access reads the file again), for weights packed
// elsewhere.
void PrefetchPages(absl::Span<const uint8_t> part);
void DropPages(absl::Span<const uint8_t> part);

}  // namespace keel

#endif  // KEEL_CORE_BASE_FILE_H_
