#include "core/grammar/testing.h"

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "core/base/status.h"
#include "core/text/detokenizer.h"
#include "core/text/testing.h"
#include "gtest/gtest.h"

namespace keel::testing {
namespace {

constexpr int kMaxTokens = 3000;
constexpr int kCloseAfter = 40;

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

bool Closes(const Model& model, int32_t id) {
  if (id == model.eos) return true;
  const std::string token = model.tokenizer->IdToToken(id).value_or("");
  // As bytes where a vocabulary has no pieces of them.
  if (token == "<0x22>" || token == "<0x5D>" || token == "<0x7D>") return true;
  return !token.empty() && token.find_first_not_of("\"]}") == std::string::npos;
}

}  // namespace

Model TestModel(const std::string& name) {
  std::shared_ptr<const Tokenizer> tokenizer = TestTokenizer(name);
  const int64_t vocab_size = tokenizer->vocab_size() + 7;
  for (const char* eos : {"</s>", "<|im_end|>", "<|eot_id|>"}) {
    if (const auto id = tokenizer->TokenToId(eos)) return {tokenizer, vocab_size, *id};
  }
  ADD_FAILURE() << name << " has no token that ends a generation";
  std::abort();
}

std::shared_ptr<GrammarCompiler> TestCompiler(const Model& model, const GrammarLimits& limits) {
  return GrammarCompiler::Create(model.tokenizer, model.vocab_size, {model.eos}, limits);
}

absl::StatusOr<std::vector<int32_t>> Allowed(const Model& model, GrammarMatcher& matcher) {
  std::vector<uint32_t> mask(matcher.mask_words());
  KEEL_RETURN_IF_ERROR(matcher.FillMask(absl::MakeSpan(mask)));
  std::vector<int32_t> ids;
  for (size_t i = 0; i < mask.size() * 32; ++i) {
    if ((mask[i / 32] >> i % 32 & 1) == 0) continue;
    EXPECT_LT(i, static_cast<size_t>(model.tokenizer->vocab_size()));
    ids.push_back(static_cast<int32_t>(i));
  }
  return ids;
}

std::string TextOf(const Model& model, const std::vector<int32_t>& ids) {
  IncrementalDetokenizer detokenizer(model.tokenizer);
  const std::vector<int32_t> before =
      Must(model.tokenizer->Encode("a", {.add_special_tokens = false}));
  EXPECT_TRUE(detokenizer.Prime(before).ok());
  std::string text = Must(detokenizer.Add(ids));
  return text + Must(detokenizer.Flush());
}

absl::StatusOr<std::string> RandomText(const Model& model, GrammarMatcher& matcher,
                                       std::mt19937& random) {
  std::vector<int32_t> ids;
  while (ids.size() < kMaxTokens) {
    KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> allowed, Allowed(model, matcher));
    EXPECT_EQ(absl::c_linear_search(allowed, model.eos), matcher.IsAccepting());
    if (matcher.IsStopped()) {
      EXPECT_EQ(allowed, std::vector<int32_t>{model.eos});
    }
    if (ids.size() > kCloseAfter && random() % 8 != 0) {
      std::vector<int32_t> closing;
      for (const int32_t id : allowed) {
        if (Closes(model, id)) closing.push_back(id);
      }
      if (!closing.empty()) allowed = closing;
    }
    const int32_t id = allowed[random() % allowed.size()];
    if (id == model.eos) {
      EXPECT_TRUE(matcher.Consume(id).ok() || matcher.IsStopped());
      return TextOf(model, ids);
    }
    KEEL_RETURN_IF_ERROR(matcher.Consume(id));
    ids.push_back(id);
  }
  return absl::DeadlineExceededError("the text has no end: " + TextOf(model, ids).substr(0, 300));
}

bool Accepts(const Model& model, const GrammarMatcher& beginning, absl::string_view text) {
  const std::unique_ptr<GrammarMatcher> matcher = Must(beginning.Clone());
  for (const char c : text) {
    const std::vector<int32_t> ids =
        Must(model.tokenizer->Encode(absl::string_view(&c, 1), {.add_special_tokens = false}));
    EXPECT_EQ(ids.size(), 1u);
    const auto allowed = Allowed(model, *matcher);
    if (!allowed.ok() || !absl::c_linear_search(*allowed, ids[0])) return false;
    if (!matcher->Consume(ids[0]).ok()) return false;
  }
  return matcher->IsAccepting();
}

}  // namespace keel::testing
