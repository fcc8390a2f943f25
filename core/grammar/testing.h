// What the tests of this folder share.
#ifndef KEEL_CORE_GRAMMAR_TESTING_H_
#define KEEL_CORE_GRAMMAR_TESTING_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/grammar/grammar_compiler.h"
#include "core/grammar/grammar_matcher.h"
#include "core/text/tokenizer.h"

namespace keel::testing {

// A tokenizer of core/text/testdata and the token that ends a generation.
struct Model {
  std::shared_ptr<const Tokenizer> tokenizer;
  int64_t vocab_size;  // some more than the tokenizer's
  int32_t eos;
};
Model TestModel(const std::string& tokenizer);

std::shared_ptr<GrammarCompiler> TestCompiler(const Model& model, const GrammarLimits& limits = {});

// The tokens that `matcher` allows, ascending.
absl::StatusOr<std::vector<int32_t>> Allowed(const Model& model, GrammarMatcher& matcher);

// The text of tokens inside a text, where no space is taken off its beginning.
std::string TextOf(const Model& model, const std::vector<int32_t>& ids);

// Takes random allowed tokens until the end and returns their text, checking what a matcher
// promises on the way. After some tokens it prefers those that close things.
absl::StatusOr<std::string> RandomText(const Model& model, GrammarMatcher& matcher,
                                       std::mt19937& random);

// Whether `text`, which is ASCII, is a whole text of the grammar, a character a token. The
// tokenizer spells bytes.
bool Accepts(const Model& model, const GrammarMatcher& beginning, absl::string_view text);

}  // namespace keel::testing

#endif  // KEEL_CORE_GRAMMAR_TESTING_H_
