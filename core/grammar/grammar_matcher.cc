#include "core/grammar/grammar_matcher.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/grammar/keel_text_error.h"
#include "third_party/text/keel_text.h"

namespace keel {

GrammarMatcher::GrammarMatcher(keel_text_grammar* grammar, int64_t vocab_size)
    : grammar_(grammar), vocab_size_(vocab_size) {
  // If this fails, so does the next call.
  ReadState().IgnoreError();
}

GrammarMatcher::~GrammarMatcher() { keel_text_grammar_free(grammar_); }

absl::StatusOr<std::unique_ptr<GrammarMatcher>> GrammarMatcher::Clone() const {
  keel_text_grammar* copy = nullptr;
  keel_text_error error;
  KEEL_RETURN_IF_ERROR(GrammarError(keel_text_grammar_clone(grammar_, &copy, &error), error));
  return std::make_unique<GrammarMatcher>(copy, vocab_size_);
}

absl::Status GrammarMatcher::FillMask(absl::Span<uint32_t> mask) {
  if (mask.size() != mask_words()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a grammar's mask has ", mask.size(), " words, expected ", mask_words()));
  }
  keel_text_error error;
  return GrammarError(keel_text_grammar_mask(grammar_, mask.data(), mask.size(), &error), error);
}

absl::Status GrammarMatcher::Consume(int32_t token) {
  if (token < 0 || token >= vocab_size_) {
    return absl::InvalidArgumentError(absl::StrCat("there is no token ", token));
  }
  keel_text_error error;
  KEEL_RETURN_IF_ERROR(GrammarError(keel_text_grammar_consume(grammar_, token, &error), error));
  return ReadState();
}

absl::Status GrammarMatcher::ReadState() {
  int32_t accepting = 0;
  int32_t stopped = 0;
  keel_text_error error;
  KEEL_RETURN_IF_ERROR(
      GrammarError(keel_text_grammar_state(grammar_, &accepting, &stopped, &error), error));
  accepting_ = accepting != 0;
  stopped_ = stopped != 0;
  return absl::OkStatus();
}

}  // namespace keel
