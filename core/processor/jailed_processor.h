// The processor class of a plugin that is not trusted: its functions run in children that can do nothing but compute
// (core/remote/processor_pool.h), and ask here for what only a host has.
#ifndef KEEL_CORE_PROCESSOR_JAILED_PROCESSOR_H_
#define KEEL_CORE_PROCESSOR_JAILED_PROCESSOR_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/plugin/trust.h"
#include "core/processor/processor_calls.h"
#include "core/remote/processor_pool.h"
#include "core/text/tokenizer.h"

namespace keel {

class JailedProcessor : public ProcessorCalls {
 public:
  // The class `name` of the library `image`, in a first child. NOT_FOUND: there is none.
  static absl::StatusOr<std::unique_ptr<JailedProcessor>> Create(
      JailedImage image, const std::string& name, std::shared_ptr<const Checkpoint> checkpoint,
      std::shared_ptr<const Tokenizer> tokenizer);

  const std::string& plugin_name() const override { return pool_->plugin_name(); }
  absl::StatusOr<Delivered> Tokens() const override;
  absl::Status Count(Items items, const std::string& options, absl::Span<keel_media_count> counts,
                     Keys& asked) const override;
  absl::StatusOr<Delivered> Preprocess(const MediaItem& item, const std::string& options,
                                       Keys& asked) const override;
  absl::StatusOr<Delivered> Replacement(const keel_media_count& item,
                                        uint32_t index) const override;
  absl::StatusOr<std::optional<Delivered>> Expand(Ids ids, Counts counts) const override;
  absl::StatusOr<std::optional<Delivered>> Positions(Ids ids, Counts counts) const override;

 private:
  explicit JailedProcessor(std::unique_ptr<ProcessorPool> pool) : pool_(std::move(pool)) {}
  absl::StatusOr<Delivered> Read(proto::JailReply reply) const;
  absl::StatusOr<std::optional<Delivered>> OfPrompt(proto::CallProcessor::Function function,
                                                    Ids ids, Counts counts) const;

  const std::unique_ptr<ProcessorPool> pool_;
};

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_JAILED_PROCESSOR_H_
