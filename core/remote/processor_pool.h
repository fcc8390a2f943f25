// A jailed plugin's processor: a few children that answer calls of it. A processor keeps no memory
// between calls, so any of them does.
#ifndef KEEL_CORE_REMOTE_PROCESSOR_POOL_H_
#define KEEL_CORE_REMOTE_PROCESSOR_POOL_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/plugin/trust.h"
#include "core/remote/child_pool.h"
#include "core/remote/jail.pb.h"
#include "core/remote/jailed_plugin.h"

namespace keel {

// Thread-safe.
class ProcessorPool {
 public:
  struct Options {
    int size = 2;  // children at most
    JailOptions jail = {};
  };
  const std::string& plugin_name() const { return image_.ref().name; }

  // Starts the first child and opens the processor in it. `host` answers what processors ask, on the
  // threads of Call.
  static absl::StatusOr<std::unique_ptr<ProcessorPool>> Create(JailedImage image,
                                                               proto::OpenProcessor processor,
                                                               HostAnswers host,
                                                               const Options& options);

  // Runs a function of the processor in a child that is free, or a new one, or waits for one. The
  // answer has been checked: a count for each medium, tensors as large as they say; kInternal for one
  // that is not so. A child that dies fails this call alone, kInternal with the words of
  // JailedPlugin::Ask; the next one gets another.
  absl::StatusOr<proto::JailReply> Call(proto::CallProcessor call);

 private:
  ProcessorPool(JailedImage image, proto::OpenProcessor processor, HostAnswers host,
                const Options& options)
      : image_(std::move(image)),
        processor_(std::move(processor)),
        host_(std::move(host)),
        jail_(options.jail),
        children_(options.size, [this] { return Open(); }) {}

  absl::StatusOr<JailedPlugin> Open() const;

  const JailedImage image_;
  const proto::OpenProcessor processor_;
  const HostAnswers host_;
  const JailOptions jail_;
  ChildPool<JailedPlugin> children_;
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_PROCESSOR_POOL_H_
