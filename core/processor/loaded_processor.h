// A plugin's processor class whose code is in this process, called through the ABI with the host's help: files of the
// checkpoint, its tokenizer, image resizing, spectra.
#ifndef KEEL_CORE_PROCESSOR_LOADED_PROCESSOR_H_
#define KEEL_CORE_PROCESSOR_LOADED_PROCESSOR_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/plugin/plugin.h"
#include "core/processor/processor_calls.h"
#include "core/text/tokenizer.h"

namespace keel {

class LoadedProcessor : public ProcessorCalls {
 public:
  // The class `name` of `plugin`. NOT_FOUND: there is none.
  static absl::StatusOr<std::unique_ptr<LoadedProcessor>> Create(
      std::shared_ptr<Plugin> plugin, const std::string& name,
      std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Tokenizer> tokenizer);
  ~LoadedProcessor() override;
  LoadedProcessor(const LoadedProcessor&) = delete;
  LoadedProcessor& operator=(const LoadedProcessor&) = delete;

  const std::string& plugin_name() const override { return plugin_->name(); }
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
  class Assets;

  LoadedProcessor(std::shared_ptr<Plugin> plugin, std::string name);
  absl::Status Open(std::shared_ptr<const Checkpoint> checkpoint,
                    std::shared_ptr<const Tokenizer> tokenizer);
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const;

  const std::shared_ptr<Plugin> plugin_;
  const std::string name_;
  const keel_processor_class* class_ = nullptr;
  std::unique_ptr<Assets> assets_;
  void* processor_ = nullptr;
};

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_LOADED_PROCESSOR_H_
