// A file's bytes as they are once and for all: what is hashed, inspected, mapped or parsed is one
// and the same, whatever happens to the file meanwhile.
#ifndef KEEL_CORE_PLUGIN_SEALED_FILE_H_
#define KEEL_CORE_PLUGIN_SEALED_FILE_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/file_descriptor.h"

namespace keel {

// A memfd that nobody can change any more, with the bytes of the regular file `path` (no link).
// Refused: a file that everybody may write, or whose directory is such that everybody may put
// another file in its place; one that is empty or larger than `max_bytes`. `name` shows in
// /proc/<pid>/maps, debuggers and profiles. Errors don't name the file.
absl::StatusOr<FileDescriptor> SealFile(const std::string& path, const std::string& name,
                                        int64_t max_bytes);

// Runs `use` on the bytes of such a memfd, mapped for as long.
absl::Status WithBytes(int fd, absl::FunctionRef<absl::Status(absl::Span<const uint8_t>)> use);

// The path of the file `name` of the checkpoint in `directory`, with no link left in it. A link may
// lead to another file of the checkpoint, or, in Hugging Face's cache, from
// <repository>/snapshots/<revision> to <repository>/blobs; kPermissionDenied if it leads elsewhere.
absl::StatusOr<std::string> ResolveInCheckpoint(const std::string& directory,
                                                const std::string& name);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_SEALED_FILE_H_
