// EBNF as llama.cpp (GBNF) and XGrammar write it, turned into the Lark that llguidance reads.
#ifndef KEEL_CORE_GRAMMAR_EBNF_H_
#define KEEL_CORE_GRAMMAR_EBNF_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/grammar/ebnf_tree.h"

namespace keel {

// Whether the first thing in `source`, comments aside, is `name ::=`. Lark has no such thing.
bool IsEbnf(absl::string_view source);

// Errors are those of ebnf::Parse.
absl::StatusOr<std::string> EbnfToLark(absl::string_view source,
                                       const ebnf::ParseLimits& limits = {});

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_EBNF_H_
