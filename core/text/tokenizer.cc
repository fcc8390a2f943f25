#include "core/text/tokenizer.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/text/keel_text_status.h"
#include "core/text/tokenizer_config.h"
#include "third_party/text/keel_text.h"

namespace keel {
namespace {

constexpr absl::string_view kWhere = "tokenizer.json";
constexpr size_t kMaxTextBytes = 64 << 20;

// Normalization may make one character of a few (an accent, a syllable).
constexpr int64_t kNormalized = 4;
// Of a tokenizer whose tokens are shorter: texts have runs of spaces that some drop.
constexpr int64_t kLeastCharacters = 32;
// Ids may have holes, as large as a file wants.
constexpr int32_t kMaxIdsLookedAt = 1 << 22;

// In characters, as the vocabulary spells it: at least as many as its text has.
int64_t LongestToken(const Tokenizer& tokenizer) {
  const auto begins_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  };
  int64_t longest = 1;
  for (int32_t id = 0; id < std::min(tokenizer.vocab_size(), kMaxIdsLookedAt); ++id) {
    const std::string token = tokenizer.IdToToken(id).value_or("");
    longest = std::max<int64_t>(longest, absl::c_count_if(token, begins_character));
  }
  return longest;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::Create(const TextFiles& files) {
  KEEL_ASSIGN_OR_RETURN(TokenizerConfig config, ReadTokenizerConfig(files));
  const std::string added = boost::json::serialize(config.added_tokens);

  keel_text_tokenizer* handle = nullptr;
  keel_text_error error;
  const keel_text_status status = keel_text_tokenizer_new(
      files.tokenizer.data(), files.tokenizer.size(), added.data(), added.size(),
      config.add_prefix_space.has_value() ? *config.add_prefix_space : -1, &handle, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, kWhere));

  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer(handle));
  const size_t vocab_size = keel_text_vocab_size(handle);
  if (vocab_size == 0) return absl::InvalidArgumentError(absl::StrCat(kWhere, ": has no tokens"));
  if (vocab_size > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhere, ": token id ", vocab_size - 1, " is larger than 32 bits hold"));
  }
  tokenizer->vocab_size_ = static_cast<int32_t>(vocab_size);
  tokenizer->max_token_characters_ =
      std::max(kNormalized * LongestToken(*tokenizer), kLeastCharacters);
  keel_text_added_ids(handle, /*special_only=*/1, AppendIds, &tokenizer->special_ids_);
  tokenizer->special_tokens_ = std::move(config.special_tokens);
  tokenizer->model_max_length_ = config.model_max_length;
  return tokenizer;
}

Tokenizer::~Tokenizer() { keel_text_tokenizer_free(handle_); }

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text,
                                                       const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the text has ", text.size(), " bytes, at most ",
                                                   kMaxTextBytes, " are taken"));
  }
  std::vector<int32_t> ids;
  keel_text_error error;
  const keel_text_status status =
      keel_text_encode(handle_, text.data(), text.size(), options.add_special_tokens,
                       options.split_special_tokens, AppendIds, &ids, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, "tokenizing"));
  return ids;
}

absl::StatusOr<Tokenizer::Pair> Tokenizer::EncodePair(absl::string_view first,
                                                      absl::string_view second,
                                                      bool add_special_tokens) const {
  if (first.size() + second.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the texts have ", first.size() + second.size(),
                                                   " bytes, at most ", kMaxTextBytes,
                                                   " are taken"));
  }
  std::vector<int32_t> both;
  keel_text_error error;
  const keel_text_status status =
      keel_text_encode_pair(handle_, first.data(), first.size(), second.data(), second.size(),
                            add_special_tokens, AppendIds, &both, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, "tokenizing"));
  const auto middle = both.begin() + static_cast<ptrdiff_t>(both.size() / 2);
  return Pair{{both.begin(), middle}, {middle, both.end()}};
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> ids,
                                              bool skip_special_tokens) const {
  // A negative id becomes a huge one, which no vocabulary has.
  const auto* unsigned_ids = reinterpret_cast<const uint32_t*>(ids.data());
  std::string text;
  keel_text_error error;
  const keel_text_status status = keel_text_decode(handle_, unsigned_ids, ids.size(),
                                                   skip_special_tokens, AppendBytes, &text, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, "detokenizing"));
  return text;
}

std::optional<int32_t> Tokenizer::TokenToId(absl::string_view token) const {
  const int64_t id = keel_text_token_to_id(handle_, token.data(), token.size());
  if (id < 0) return std::nullopt;
  return static_cast<int32_t>(id);
}

std::optional<std::string> Tokenizer::IdToToken(int32_t id) const {
  std::string token;
  if (id < 0 || !keel_text_id_to_token(handle_, id, AppendBytes, &token)) return std::nullopt;
  return token;
}

std::optional<std::string> Tokenizer::TokenBytes(int32_t id) const {
  std::string bytes;
  if (id < 0 || !keel_text_token_bytes(handle_, id, AppendBytes, &bytes)) return std::nullopt;
  return bytes;
}

bool Tokenizer::IsSpecial(int32_t id) const { return absl::c_binary_search(special_ids_, id); }

std::optional<int32_t> Tokenizer::RoleId(const std::string& role) const {
  const auto it = special_tokens_.find(role);
  if (it == special_tokens_.end()) return std::nullopt;
  return TokenToId(it->second);
}

}  // namespace keel
