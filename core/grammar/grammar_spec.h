// What a request asks its text to be, and what that may cost.
#ifndef KEEL_CORE_GRAMMAR_GRAMMAR_SPEC_H_
#define KEEL_CORE_GRAMMAR_GRAMMAR_SPEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace keel {

struct GrammarSpec {
  enum class Kind {
    kJsonSchema,  // source: the schema
    kJsonObject,  // any JSON object; source is not looked at
    kRegex,       // the whole text matches; Rust's regex syntax, \d is any digit of Unicode
    kChoice,      // source: a JSON array of strings, one of which is the whole text
    kGrammar,     // Lark as llguidance reads it; EBNF (`name ::= ...`) as llama.cpp reads it
  };
  Kind kind = Kind::kJsonObject;
  std::string source = {};

  // For JSON. No whitespace between the parts of the document.
  bool disable_any_whitespace = false;
  // A regular expression of the whitespace that may stand there.
  std::optional<std::string> whitespace_pattern = {};
  // An object that lists its properties and does not speak of additional ones has no others.
  bool disable_additional_properties = false;
};

// Sources come from strangers. What exceeds a limit is refused.
struct GrammarLimits {
  size_t source_bytes = 1 << 20;
  int json_depth = 96;     // of a schema, counted in brackets
  int bracket_depth = 64;  // of a regex or grammar
  // Rules of a grammar, $ref's of a schema: llguidance follows references recursively.
  int references = 2000;

  // llguidance's work grows with the square of these, uncounted by its fuel.
  size_t regex_bytes = 16 << 10;
  size_t properties = 2000;  // of an object of a schema
  int64_t multiple_of = 10000;

  // Of llguidance, for compiling.
  uint64_t compile_fuel = 1'000'000;
  size_t grammar_symbols = 500'000;
  // Of llguidance, for one mask; exceeding one ends that sequence only.
  uint64_t mask_fuel = 200'000;
  size_t mask_items = 50'000;
  size_t items_in_row = 2000;
  size_t lexer_states = 50'000;  // of a sequence, all masks together; 1 to 2 kB each

  // How long Compile waits. Fuel does not count all of llguidance's work.
  absl::Duration compile_time = absl::Seconds(2);

  // Compiled grammars that are kept.
  size_t cached_grammars = 64;
  size_t cached_source_bytes = 8 << 20;
};

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_GRAMMAR_SPEC_H_
