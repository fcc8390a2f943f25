// A prompt whose placeholders stand for media: which tokens are whose, held against the processor's contract for every
// item (docs/abi.md, "Media").
#ifndef KEEL_CORE_PROCESSOR_MEDIA_PROMPT_H_
#define KEEL_CORE_PROCESSOR_MEDIA_PROMPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/token_range.h"
#include "core/processor/processor.h"

namespace keel {

// Tokens of a prompt that are an item's, and the text within it.
struct MediaTokensSpan {
  struct Run {  // tokens [begin, begin + num), whose embeddings are the features from `first` on
    int32_t begin = 0, num = 0, first = 0;
  };
  int32_t begin = 0, end = 0;
  std::vector<Run> runs;
  int64_t features = 0;
};

struct MediaPrompt {
  std::vector<int32_t> ids;            // expanded
  std::vector<MediaTokensSpan> spans;  // of each item, in order of the items
  std::optional<PromptPlaces> places;  // nullopt: tokens are where they stand
  // Tokens that see each other, in order, for models whose attention takes groups: as the processor says, else those of
  // each item that no text cuts.
  std::vector<TokenRange> groups = {};
  std::string options = {};  // with which its items were counted (MediaCounts::options)
};

// The spans of `items` in `expanded`, which was made of `prompt`; `processor` names who made it. Errors as ExpandMedia's.
absl::StatusOr<std::vector<MediaTokensSpan>> FindMediaSpans(
    const Placeholders& placeholders, absl::Span<const int32_t> prompt,
    absl::Span<const keel_media_count> items, const ExpandedIds& expanded,
    absl::string_view processor);

// The groups of `expanded`, whose items have `spans`. INTERNAL: tokens of one do not follow each other.
absl::StatusOr<std::vector<TokenRange>> FindGroups(absl::Span<const MediaTokensSpan> spans,
                                                   const ExpandedIds& expanded,
                                                   absl::string_view processor);

// Expands `ids`, a prompt with one placeholder an item: the n-th placeholder of a modality is the n-th item of it.
// INVALID_ARGUMENT: as many items of a modality as placeholders are expected, with both numbers; a modality that the
// processor does not take. INTERNAL: the processor breaks one of its rules, which is named: an item's tokens are as many as
// it counts, cut by text into as many runs, of them as many for features, and the text between two items is the prompt's: it
// may be added to at both ends, and its first and last token may have become others, joined with that.
absl::StatusOr<MediaPrompt> ExpandMedia(const Processor& processor, absl::Span<const int32_t> ids,
                                        absl::Span<const keel_media_count> items);

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_MEDIA_PROMPT_H_
