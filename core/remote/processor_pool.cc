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
  KEEL_ASSIGN_OR_RETURN(JailedPlugin first, pool->Take());
  pool->Give(std::move(first));
  return pool;
}

absl::StatusOr<JailedPlugin> ProcessorPool::Open() const {
  KEEL_ASSIGN_OR_RETURN(JailedPlugin child, JailedPlugin::Start(image_, options_.jail));
  proto::JailRequest request;
  *request.mutable_open_processor() = processor_;
  KEEL_RETURN_IF_ERROR(child.Ask(request, host_).status());
  return child;
}

absl::StatusOr<JailedPlugin> ProcessorPool::Take() {
  {
    const absl::MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !idle_.empty() || taken_ < options_.size;
    };
    mutex_.Await(absl::Condition(&ready));
    ++taken_;
    if (!idle_.empty()) {
      JailedPlugin child = std::move(idle_.back());
      idle_.pop_back();
      return child;
    }
  }
  absl::StatusOr<JailedPlugin> child = Open();
  if (!child.ok()) {
    const absl::MutexLock lock(&mutex_);
    --taken_;
  }
  return child;
}

void ProcessorPool::Give(JailedPlugin child) {
  const absl::MutexLock lock(&mutex_);
  --taken_;
  if (child.is_alive()) idle_.push_back(std::move(child));
}

absl::StatusOr<proto::JailReply> ProcessorPool::Call(const proto::CallProcessor& call) {
  KEEL_ASSIGN_OR_RETURN(JailedPlugin child, Take());
  proto::JailRequest request;
  *request.mutable_call_processor() = call;
  absl::StatusOr<proto::JailReply> reply = child.Ask(request, host_);
  Give(std::move(child));
  if (!reply.ok()) return reply;
  if (absl::Status status = CheckReply(call, *reply); !status.ok()) {
    return Annotate(status, absl::StrCat("plugin ", image_.ref().name, ": its processor"));
  }
  return reply;
}

}  // namespace keel
