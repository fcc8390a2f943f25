// An engine's parts without a checkpoint, for the tests of this folder.
#ifndef KEEL_CORE_ENGINE_TESTING_H_
#define KEEL_CORE_ENGINE_TESTING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/exec/fake_executor.h"
#include "core/model/model.h"

namespace keel::testing {

// The tokens of "qwen" in core/text/testdata, which spells ASCII a character a token.
int32_t Letter(char c);
std::vector<int32_t> Letters(absl::string_view text);
inline constexpr int32_t kEnd = 402;  // <|im_end|>

// Says the alphabet: after 'a' comes 'b' (logit 40, the next ones 30, 20, 10), and after 'z' the end.
void SayAlphabet(absl::Span<const int32_t> tokens, absl::Span<float> logits);

// A model of 512 tokens whose logits are a function's.
struct FakeModel {
  Model model;
  FakeExecutor* executor;  // the model's
};
FakeModel MakeFakeModel(FakeExecutor::Logits logits = SayAlphabet, int32_t num_blocks = 64);

}  // namespace keel::testing
#endif  // KEEL_CORE_ENGINE_TESTING_H_
