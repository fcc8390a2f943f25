// Text of tokens as they are generated.
#ifndef KEEL_CORE_TEXT_DETOKENIZER_H_
#define KEEL_CORE_TEXT_DETOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/text/tokenizer.h"

namespace keel {

struct DetokenizerOptions {
  bool skip_special_tokens = true;
  // Special tokens that the text has even so; null: none. Shared by those that fork.
  std::shared_ptr<const std::vector<int32_t>> kept_special_ids = nullptr;
};

// The text of one growing sequence. The pieces that Add and Flush return, joined, are
// Tokenizer::Decode of all ids, and each piece is whole UTF-8: an incomplete character is held back
// until its last byte comes or Flush gives it as U+FFFD.
// One exception: a SentencePiece vocabulary spells rare characters as byte tokens (<0xE4>), and one
// bad byte turns a whole run of them into U+FFFD in Decode. Here characters that were complete
// before the bad byte stay.
// Copyable, so that a sequence can fork; one thread at a time.
class IncrementalDetokenizer {
 public:
  explicit IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                  const DetokenizerOptions& options = {});

  // Takes the tokens that end the prompt as context and gives no text for them: whether the first
  // generated word begins with a space may depend on them. Before the first Add; optional.
  absl::Status Prime(absl::Span<const int32_t> prompt_ids);

  // The text that is now certain; may be empty.
  absl::StatusOr<std::string> Add(int32_t id);
  absl::StatusOr<std::string> Add(absl::Span<const int32_t> ids);

  // What is held back, with U+FFFD for what stayed incomplete. Then the object is as after its
  // construction.
  absl::StatusOr<std::string> Flush();

 private:
  void Append(absl::Span<const int32_t> ids);
  // What to leave out was left out when it was appended.
  bool DecodeSkips() const {
    return options_.skip_special_tokens && options_.kept_special_ids == nullptr;
  }
  absl::StatusOr<std::string> WindowText() const;
  absl::StatusOr<std::string> Advance(bool flush);
  absl::Status DropContext();
  absl::Status StartAfterAnchor();
  absl::Status ShortenWindow(absl::string_view uncertain);

  std::shared_ptr<const Tokenizer> tokenizer_;
  DetokenizerOptions options_;
  // Context, whose text was given out and which decides how the next token begins; then pending
  // tokens.
  std::vector<int32_t> window_;
  size_t context_ = 0;   // ids of window_ that are context
  std::string emitted_;  // how much of window_'s text was given out
};

}  // namespace keel

#endif  // KEEL_CORE_TEXT_DETOKENIZER_H_
