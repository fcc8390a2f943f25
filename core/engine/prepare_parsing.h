// What a request's wish to have its text taken apart comes to.
#ifndef KEEL_CORE_ENGINE_PREPARE_PARSING_H_
#define KEEL_CORE_ENGINE_PREPARE_PARSING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/chat/parsers/output_parser.h"
#include "core/engine/reasoning_tracker.h"
#include "core/engine/request.h"
#include "core/model/model.h"
#include "core/text/detokenizer.h"

namespace keel {

// Gives a request whose tools must be called the grammar that makes it call them. INVALID_ARGUMENT: tools
// that are none, a choice among them that there is not, another grammar beside it. UNIMPLEMENTED: calls
// in the model's own format, which nobody knows.
absl::Status ApplyToolChoice(const Model& model, Request& request);

// The parser of a request; none unless it has `parsing`. `prompt` are the ids it follows.
absl::StatusOr<std::optional<OutputParser>> ParserFor(const Model& model, const Request& request,
                                                      absl::Span<const int32_t> prompt);

// What bounds the reasoning of a request that has a grammar or a budget; none where the model's
// cannot be told apart. `detokenizer` is that of its text.
absl::StatusOr<std::optional<ReasoningTracker>> ReasoningFor(
    const Model& model, const Request& request, absl::Span<const int32_t> prompt,
    const IncrementalDetokenizer& detokenizer);

// Special tokens that the text must keep for that parser; null: none.
std::shared_ptr<const std::vector<int32_t>> KeptSpecialIds(const Model& model,
                                                           const Request& request);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_PREPARE_PARSING_H_
