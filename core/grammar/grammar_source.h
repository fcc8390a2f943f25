// A request's grammar in a form that third_party/text takes.
#ifndef KEEL_CORE_GRAMMAR_GRAMMAR_SOURCE_H_
#define KEEL_CORE_GRAMMAR_GRAMMAR_SOURCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/grammar/grammar_spec.h"

namespace keel {

struct GrammarSource {
  const char* kind;  // as keel_text_grammar_new takes it
  std::string text;
};

// Checks `spec` against what the compiler cannot check itself without risk (size, nesting, number
// of rules) and turns choices and EBNF into Lark.
absl::StatusOr<GrammarSource> MakeGrammarSource(const GrammarSpec& spec,
                                                const GrammarLimits& limits);

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_GRAMMAR_SOURCE_H_
