#include "core/graph/graph_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/strict_proto.h"
#include "core/graph/verifier.h"

namespace keel {
namespace {

constexpr int64_t kMaxMessages = 1 << 22;

}  // namespace

absl::StatusOr<proto::Graph> ParseGraphFile(absl::string_view bytes) {
  if (bytes.size() > static_cast<size_t>(kMaxGraphFileBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", bytes.size(), " bytes, expected at most ", kMaxGraphFileBytes));
  }
  proto::Graph graph;
  KEEL_RETURN_IF_ERROR(ParseStrict(bytes, kMaxMessages, &graph));
  KEEL_RETURN_IF_ERROR(VerifyGraph(graph));
  return graph;
}

std::string SerializeGraphFile(const proto::Graph& graph) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    graph.SerializeToCodedStream(&out);
  }
  return bytes;
}

}  // namespace keel
