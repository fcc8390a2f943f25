#include "core/engine/testing.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/text/testing.h"
#include "gtest/gtest.h"

namespace keel::testing {
namespace {

constexpr int32_t kVocabSize = 512, kBlockSize = 16;  // as EngineOptions has it

}  // namespace

int32_t Letter(char c) { return c - '!'; }

std::vector<int32_t> Letters(absl::string_view text) {
  std::vector<int32_t> out;
  for (const char c : text) out.push_back(Letter(c));
  return out;
}

void SayAlphabet(absl::Span<const int32_t> tokens, absl::Span<float> logits) {
  const int32_t next = tokens.back() + 1, last = Letter('z');
  for (int32_t i = 0; i < 4; ++i) {
    const int32_t token = next + i <= last ? next + i : i == 0 ? kEnd : Letter('A') + i;
    logits[static_cast<size_t>(token)] = 40 - 10 * static_cast<float>(i);
  }
}

FakeModel MakeFakeModel(FakeExecutor::Logits logits, int32_t num_blocks) {
  auto executor = std::make_unique<FakeExecutor>(kVocabSize, kBlockSize, std::move(logits));
  EXPECT_TRUE(executor->AllocateCache({num_blocks}, 0).ok());
  FakeModel out;
  out.executor = executor.get();
  out.model.name = "fake";
  out.model.vocab_size = kVocabSize;
  out.model.max_model_len = 256;
  out.model.blocks.block_size = kBlockSize;
  out.model.blocks.groups = {{num_blocks}};
  out.model.eos_token_ids = {kEnd};
  out.model.text.tokenizer = TestTokenizer("qwen");
  out.model.executor = std::move(executor);
  return out;
}

}  // namespace keel::testing
