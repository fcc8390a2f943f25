// The safetensors format: u64 header length, a JSON header, then the tensors' bytes without a gap.
//
// Checked before a view is given: the header's length (at most 100 MB and within the file) and
// form, that no name repeats, every dtype is known, shape x element size equals the byte range, and
// the ranges cover the data from first to last byte without holes or overlaps. A view's bytes
// therefore always lie in the file.
#ifndef KEEL_CORE_CHECKPOINT_SAFETENSORS_H_
#define KEEL_CORE_CHECKPOINT_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file.h"
#include "core/tensor/dtype.h"

namespace keel {

// One stored tensor, row-major, little-endian. Borrows its bytes.
struct TensorView {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // empty for a scalar
  // Start of the bytes; aligned to the element in files that today's writers make, but not in all.
  const uint8_t* data = nullptr;
  size_t bytes = 0;

  int64_t elements() const;
  absl::Span<const uint8_t> span() const { return {data, bytes}; }
  // "bfloat16 [2, 3]", for messages.
  std::string ToString() const;
};

// The tensors of a file held in memory, in the order of their bytes; views point into `file`.
// `where` begins errors.
absl::StatusOr<std::vector<TensorView>> ParseSafetensors(absl::Span<const uint8_t> file,
                                                         absl::string_view where);

// A file mapped read-only. Views live as long as this object and stay valid when it moves. Reading
// is thread-safe.
class SafetensorsFile {
 public:
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  absl::Span<const TensorView> tensors() const { return tensors_; }
  const TensorView* Find(absl::string_view name) const;  // null if there is none
  size_t file_bytes() const { return file_.bytes().size(); }
  // When the file was changed, and when put where it is, as a text; read before it was mapped, so that these bytes
  // never pass for those of a file that took its place since.
  const std::string& times() const { return times_; }
  // Length and JSON: all before the tensors' bytes.
  absl::Span<const uint8_t> header() const;
  void DropPages() const { keel::DropPages(file_.bytes()); }

 private:
  SafetensorsFile(std::string path, std::string times, MappedFile file,
                  std::vector<TensorView> tensors);

  std::string path_, times_;
  MappedFile file_;
  std::vector<TensorView> tensors_;
  absl::flat_hash_map<absl::string_view, size_t> index_by_name_;  // keys borrow tensors_' names
};

}  // namespace keel

#endif  // KEEL_CORE_CHECKPOINT_SAFETENSORS_H_
