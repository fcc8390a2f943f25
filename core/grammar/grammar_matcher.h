// How far one sequence has come in its grammar.
#ifndef KEEL_CORE_GRAMMAR_GRAMMAR_MATCHER_H_
#define KEEL_CORE_GRAMMAR_GRAMMAR_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

struct keel_text_grammar;

namespace keel {

// One thread at a time; copies share nothing that another thread could see. After an error, every
// call of this matcher fails; it is that sequence's error only.
class GrammarMatcher {
 public:
  // Takes `grammar`.
  GrammarMatcher(keel_text_grammar* grammar, int64_t vocab_size);
  ~GrammarMatcher();
  GrammarMatcher(const GrammarMatcher&) = delete;
  GrammarMatcher& operator=(const GrammarMatcher&) = delete;

  // A copy at the same place, for a sequence that forks.
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> Clone() const;

  // Words of a mask: ceil(vocab_size / 32).
  size_t mask_words() const { return (vocab_size_ + 31) / 32; }

  // Sets bit i % 32 of mask[i / 32] for each token i that may come next and clears the others.
  // `mask` has mask_words(). Tokens that end a generation are set only when the text so far is
  // complete; once IsStopped(), nothing else is. kInvalidArgument: the grammar needs more than
  // its limits for this step.
  absl::Status FillMask(absl::Span<uint32_t> mask);

  // Takes a token that the mask allows; kInvalidArgument if it does not.
  absl::Status Consume(int32_t token);

  // The text so far is complete.
  bool IsAccepting() const { return accepting_; }
  // The text is complete and no token but those that end a generation can follow, or one came.
  bool IsStopped() const { return stopped_; }

 private:
  absl::Status ReadState();

  keel_text_grammar* grammar_;  // owned
  const int64_t vocab_size_;
  bool accepting_ = false;
  bool stopped_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_GRAMMAR_MATCHER_H_
