#include "core/text/detokenizer.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// An incomplete character is at most three bytes, so at most this many U+FFFD at the end may still
// become something else.
constexpr size_t kUncertainReplacements = 3;

constexpr size_t kContextIds = 6;     // that Prime keeps
constexpr size_t kMaxWindowIds = 64;  // in text that never gets complete
constexpr size_t kShortWindowIds = 8;

// How much of `text` further tokens can't change.
size_t CertainSize(absl::string_view text) {
  size_t size = text.size();
  for (size_t i = 0; i < kUncertainReplacements; ++i) {
    if (!absl::EndsWith(text.substr(0, size), kReplacement)) break;
    size -= kReplacement.size();
  }
  return size;
}

bool Keeps(const DetokenizerOptions& options, int32_t id) {
  const std::vector<int32_t>* kept = options.kept_special_ids.get();
  return kept != nullptr && std::find(kept->begin(), kept->end(), id) != kept->end();
}

}  // namespace

IncrementalDetokenizer::IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                               const DetokenizerOptions& options)
    : tokenizer_(std::move(tokenizer)), options_(options) {}

absl::Status IncrementalDetokenizer::Prime(absl::Span<const int32_t> prompt_ids) {
  window_.clear();
  const size_t n = std::min(prompt_ids.size(), kContextIds);
  Append(prompt_ids.subspan(prompt_ids.size() - n));
  context_ = window_.size();
  KEEL_ASSIGN_OR_RETURN(emitted_, WindowText());
  return absl::OkStatus();
}

absl::StatusOr<std::string> IncrementalDetokenizer::Add(int32_t id) {
  return Add(absl::MakeConstSpan(&id, 1));
}

absl::StatusOr<std::string> IncrementalDetokenizer::Add(absl::Span<const int32_t> ids) {
  Append(ids);
  return Advance(/*flush=*/false);
}

absl::StatusOr<std::string> IncrementalDetokenizer::Flush() {
  KEEL_ASSIGN_OR_RETURN(std::string rest, Advance(/*flush=*/true));
  window_.clear();
  context_ = 0;
  emitted_.clear();
  return rest;
}

void IncrementalDetokenizer::Append(absl::Span<const int32_t> ids) {
  for (const int32_t id : ids) {
    // As context they would hide from the decoder that text came before.
    if (options_.skip_special_tokens && tokenizer_->IsSpecial(id) && !Keeps(options_, id)) continue;
    window_.push_back(id);
  }
}

absl::StatusOr<std::string> IncrementalDetokenizer::WindowText() const {
  return tokenizer_->Decode(window_, DecodeSkips());
}

absl::StatusOr<std::string> IncrementalDetokenizer::Advance(bool flush) {
  KEEL_ASSIGN_OR_RETURN(std::string text, WindowText());
  if (!absl::StartsWith(text, emitted_)) {
    // Byte tokens whose text was given out stand in one run with the pending ones, and the run is
    // no UTF-8: not yet, or, as more than three bytes or another token shows, not at all.
    const size_t pending = window_.size() - context_;
    if (!flush && pending <= kUncertainReplacements && absl::EndsWith(text, kReplacement)) {
      return std::string();
    }
    KEEL_RETURN_IF_ERROR(StartAfterAnchor());
    KEEL_ASSIGN_OR_RETURN(text, WindowText());
    if (!absl::StartsWith(text, emitted_)) {
      return absl::InternalError("detokenizing: the text of a plain token changed");
    }
  }
  const size_t certain = flush ? text.size() : std::max(CertainSize(text), emitted_.size());
  std::string piece = text.substr(emitted_.size(), certain - emitted_.size());
  if (flush) return piece;
  emitted_ = text.substr(0, certain);
  if (certain == text.size() && !piece.empty()) {
    KEEL_RETURN_IF_ERROR(DropContext());
  } else if (window_.size() > kMaxWindowIds) {
    KEEL_RETURN_IF_ERROR(ShortenWindow(absl::string_view(text).substr(certain)));
  }
  return piece;
}

// All of the window's text was given out: the pending tokens become the context.
absl::Status IncrementalDetokenizer::DropContext() {
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(context_));
  context_ = window_.size();
  KEEL_ASSIGN_OR_RETURN(emitted_, WindowText());
  return absl::OkStatus();
}

// Puts one plain token in the place of the context: decoders treat the first token of a text
// specially (a space is dropped), and none of the pending tokens is first.
absl::Status IncrementalDetokenizer::StartAfterAnchor() {
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(context_));
  context_ = 0;
  emitted_.clear();
  const std::optional<int32_t> anchor = tokenizer_->TokenToId("a");
  if (!anchor.has_value()) return absl::OkStatus();
  KEEL_ASSIGN_OR_RETURN(emitted_, tokenizer_->Decode({*anchor}, DecodeSkips()));
  window_.insert(window_.begin(), *anchor);
  context_ = 1;
  return absl::OkStatus();
}

// Keeps the last tokens, enough for the `uncertain` text that the window ends with.
absl::Status IncrementalDetokenizer::ShortenWindow(absl::string_view uncertain) {
  window_.erase(window_.begin(), window_.end() - kShortWindowIds);
  context_ = 0;
  KEEL_ASSIGN_OR_RETURN(emitted_, WindowText());
  if (absl::EndsWith(emitted_, uncertain)) emitted_.resize(emitted_.size() - uncertain.size());
  return absl::OkStatus();
}

}  // namespace keel
