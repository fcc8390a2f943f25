// A graph as a file: bytes from outside, of a checkpoint, a jailed plugin, an exporter.
//
// The file is proto::Graph (graph.proto) in protobuf's binary form. It is part of Keel's ABI: a
// field that this host does not know is refused, not skipped, since a graph without it would say
// something else.
#ifndef KEEL_CORE_GRAPH_GRAPH_FILE_H_
#define KEEL_CORE_GRAPH_GRAPH_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"

namespace keel {

// A larger file is no graph.
inline constexpr int64_t kMaxGraphFileBytes = 128 << 20;

// Parses and verifies (verifier.h). What it takes of memory and time is bounded whatever the bytes
// are: messages are counted before any is made. Errors, kInvalidArgument, name the first thing that
// is wrong.
absl::StatusOr<proto::Graph> ParseGraphFile(absl::string_view bytes);

// Equal graphs give equal bytes.
std::string SerializeGraphFile(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_GRAPH_FILE_H_
