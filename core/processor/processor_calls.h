// The functions of a plugin's processor class (keel_processor_class), wherever its code runs: in this process
// (LoadedProcessor) or in a jail (JailedProcessor). What they give is held against the contract by Processor.
#ifndef KEEL_CORE_PROCESSOR_PROCESSOR_CALLS_H_
#define KEEL_CORE_PROCESSOR_PROCESSOR_CALLS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/media/media_item.h"
#include "core/processor/collector.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Thread-safe. Errors name the plugin: its own words, or INTERNAL for how its process ended.
class ProcessorCalls {
 public:
  using Items = absl::Span<const MediaItem* const>;
  using Ids = absl::Span<const int64_t>;
  using Counts = absl::Span<const keel_media_count>;
  using Keys = std::set<std::string>;

  virtual ~ProcessorCalls() = default;

  virtual const std::string& plugin_name() const = 0;  // "libfoo.so"
  virtual absl::StatusOr<Delivered> Tokens() const = 0;
  // Fills `counts`, one an item, which have their sizes and modalities. `options`: mm_processor_kwargs, a JSON object, or "".
  // `asked` gets the keys of it that the class read.
  virtual absl::Status Count(Items items, const std::string& options,
                             absl::Span<keel_media_count> counts, Keys& asked) const = 0;
  virtual absl::StatusOr<Delivered> Preprocess(const MediaItem& item, const std::string& options,
                                               Keys& asked) const = 0;
  virtual absl::StatusOr<Delivered> Replacement(const keel_media_count& item,
                                                uint32_t index) const = 0;
  // nullopt: the class has no such function.
  virtual absl::StatusOr<std::optional<Delivered>> Expand(Ids ids, Counts counts) const = 0;
  virtual absl::StatusOr<std::optional<Delivered>> Positions(Ids ids, Counts counts) const = 0;
};

// What a processor may know of `item` before it is decoded. Borrows its times.
keel_media SizesOf(const MediaItem& item);

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_PROCESSOR_CALLS_H_
