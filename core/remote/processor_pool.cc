#include "core/remote/processor_pool.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/remote/jail_tensor.h"

namespace keel {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 30;

absl::Status CheckCount(const proto::JailMediaCount& count) {
  for (const int64_t n : {count.tokens(), count.features(), count.patches(), count.grid_t(),
                          count.grid_h(), count.grid_w()}) {
    if (n >= 0 && n <= kMaxCount) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("counts ", n, " tokens or patches, expected 0 to 2^30"));
  }
  if (count.runs() < 0 || count.runs() > count.tokens()) {
    return absl::InvalidArgumentError(
        absl::StrCat("counts ", count.tokens(), " tokens in ", count.runs(), " runs"));
  }
  if (std::isfinite(count.seconds_per_grid()) && count.seconds_per_grid() >= 0)
    return absl::OkStatus();
  return absl::InvalidArgumentError("counts a time that is none");
}

// What a processor says is outside input.
absl::Status CheckReply(const proto::CallProcessor& call, const proto::JailReply& reply) {
  const int expected = call.function() == proto::CallProcessor::COUNT ? call.media_size() : 0;
  if (reply.counts_size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("gives ", reply.counts_size(), " counts, expected ", expected));
  }
  for (const proto::JailMediaCount& count : reply.counts()) KEEL_RETURN_IF_ERROR(CheckCount(count));
  for (const auto& [key, tensor] : reply.delivered().tensors()) {
    KEEL_RETURN_IF_ERROR(CheckTensor(tensor));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessorPool>> ProcessorPool::Create(JailedImage image,
                                                                     proto::OpenProcessor processor,
                                                                     HostAnswers host,
                                                                     const Options& options) {
  std::unique_ptr<ProcessorPool> pool(
      new ProcessorPool(std::move(image), std::move(processor), std::move(host), options));
  KEEL_RETURN_IF_ERROR(pool->children_.Start());
  return pool;
}

absl::StatusOr<JailedPlugin> ProcessorPool::Open() const {
  KEEL_ASSIGN_OR_RETURN(JailedPlugin child, JailedPlugin::Start(image_, jail_));
  proto::JailRequest request;
  *request.mutable_open_processor() = processor_;
  KEEL_RETURN_IF_ERROR(child.Ask(request, host_).status());
  return child;
}

absl::StatusOr<proto::JailReply> ProcessorPool::Call(proto::CallProcessor call) {
  proto::JailRequest request;
  *request.mutable_call_processor() = std::move(call);
  absl::StatusOr<proto::JailReply> reply =
      children_.Use<proto::JailReply>([&](JailedPlugin& child) -> absl::StatusOr<proto::JailReply> {
        absl::StatusOr<proto::JailReply> answer = child.Ask(request, host_);
        if (answer.ok() || child.is_alive()) return answer;
        return absl::InternalError(answer.status().message());
      });
  if (!reply.ok()) return reply;
  if (absl::Status status = CheckReply(request.call_processor(), *reply); !status.ok()) {
    return absl::InternalError(
        absl::StrCat("plugin ", image_.ref().name, ": its processor: ", status.message()));
  }
  return reply;
}

}  // namespace keel
