#include "core/remote/graph_reader.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/graph/graph_file.h"
#include "core/plugin/sealed_file.h"
#include "core/remote/channel.h"
#include "core/remote/jail.pb.h"

namespace keel {
namespace {

absl::Status Read(const FileDescriptor& file, std::string* graph) {
  return WithBytes(file.get(), [graph](absl::Span<const uint8_t> bytes) -> absl::Status {
    KEEL_ASSIGN_OR_RETURN(
        const proto::Graph parsed,
        ParseGraphFile({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    *graph = SerializeGraphFile(parsed);
    return absl::OkStatus();
  });
}

}  // namespace

int RunGraphReader(int channel, const FileDescriptor& file, const JailLimits& limits) {
  Jail::Confine(limits);
  if (!ReadFrame(channel).ok()) return 0;
  proto::JailReply reply;
  const absl::Status status = Read(file, reply.mutable_graph());
  reply.set_code(static_cast<int>(status.code()));
  reply.set_message(std::string(status.message()));
  return WriteFrame(channel, reply.SerializeAsString()).ok() ? 0 : 1;
}

}  // namespace keel
