// Text to token ids and back, by Hugging Face's tokenizers library.
#ifndef KEEL_CORE_TEXT_TOKENIZER_H_
#define KEEL_CORE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/text/text_files.h"

struct keel_text_tokenizer;

namespace keel {

struct EncodeOptions {
  // Adds what the post-processor says (bos, eos). Off for text that a chat template rendered.
  bool add_special_tokens = true;
  // Takes special tokens written in the text as plain text. Off, as in transformers: "<s>" in the
  // text is the token.
  bool split_special_tokens = false;
};

// Immutable; every method may be called from any thread at any time.
class Tokenizer {
 public:
  // Builds from `files` in this process. For files nobody tried yet use LoadText (probe.h): a bad
  // tokenizer.json can end the process or never return.
  // As in transformers 5: tokens that only tokenizer_config.json names are added, and its
  // add_prefix_space holds where its tokenizer_class has one; padding and truncation of
  // tokenizer.json are left out.
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> Create(const TextFiles& files);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // kInvalidArgument if `text` is not UTF-8 or longer than 64 MiB.
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              const EncodeOptions& options = {}) const;

  struct Pair {
    std::vector<int32_t> ids;
    std::vector<int32_t> types;  // one an id: of the first text 0, of the second what the file says
  };
  // Two texts that a model reads together, joined as the post-processor says. Errors as Encode's.
  absl::StatusOr<Pair> EncodePair(absl::string_view first, absl::string_view second,
                                  bool add_special_tokens = true) const;

  // Ids that the vocabulary lacks are left out. Bytes that are no UTF-8 become U+FFFD. For text that
  // arrives token by token use IncrementalDetokenizer.
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special_tokens = true) const;

  std::optional<int32_t> TokenToId(absl::string_view token) const;
  // The vocabulary's spelling ("Ġthe", "<0x0A>"), not text.
  std::optional<std::string> IdToToken(int32_t id) const;

  // What the token stands for inside of a text: the space before a word, a part of a character (not
  // UTF-8 then). The bytes of Encode's tokens, joined, are the normalized text, after a space where
  // the tokenizer puts one before a text. Unset if there is no such id.
  std::optional<std::string> TokenBytes(int32_t id) const;

  // One more than the largest token id, added tokens included. A model's vocab_size may be larger.
  int32_t vocab_size() const { return vocab_size_; }

  // Characters that a token stands for at most: a text of more than that many times a limit of tokens
  // is too long, which is known without tokenizing it. Where spaces are dropped (WordPiece), or one
  // token stands for a run of what is unknown (Unigram), a text of little else may have fewer tokens
  // than this says; it is not one that a limit should let through.
  int64_t max_token_characters() const { return max_token_characters_; }

  // True for added tokens that Decode skips.
  bool IsSpecial(int32_t id) const;

  // The tokens by role, from tokenizer_config.json; unset where the file does not say. What ends
  // generation is in generation_config.json, which may name more.
  std::optional<int32_t> bos_id() const { return RoleId("bos_token"); }
  std::optional<int32_t> eos_id() const { return RoleId("eos_token"); }
  std::optional<int32_t> pad_id() const { return RoleId("pad_token"); }
  std::optional<int32_t> unk_id() const { return RoleId("unk_token"); }

  // Role ("bos_token", "image_token" ...) -> text of the token; what chat templates see.
  const std::map<std::string, std::string>& special_tokens() const { return special_tokens_; }

  // tokenizer_config.json's model_max_length; unset if absent or the "no limit" number that
  // transformers writes.
  std::optional<int64_t> model_max_length() const { return model_max_length_; }

  // For this folder and core/grammar. Valid as long as the Tokenizer.
  const keel_text_tokenizer* handle() const { return handle_; }

 private:
  explicit Tokenizer(keel_text_tokenizer* handle) : handle_(handle) {}
  std::optional<int32_t> RoleId(const std::string& role) const;

  keel_text_tokenizer* handle_;  // owned
  int32_t vocab_size_ = 0;
  int64_t max_token_characters_ = 0;
  std::vector<int32_t> special_ids_;  // sorted
  std::map<std::string, std::string> special_tokens_;
  std::optional<int64_t> model_max_length_;
};

}  // namespace keel

#endif  // KEEL_CORE_TEXT_TOKENIZER_H_
