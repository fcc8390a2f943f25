// An EBNF grammar as a tree.
#ifndef KEEL_CORE_GRAMMAR_EBNF_TREE_H_
#define KEEL_CORE_GRAMMAR_EBNF_TREE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel::ebnf {

struct Node {
  enum class Kind {
    kLiteral,   // text; empty: nothing
    kClass,     // one character of ranges, or, if negated, one of none of them
    kRule,      // rule
    kSequence,  // children, one after the other
    kChoice,    // one of children
    kRepeat,    // the only child, min to max times
  };
  static constexpr int kNoMax = -1;

  Kind kind = Kind::kLiteral;
  std::u32string text = {};
  std::vector<std::pair<char32_t, char32_t>> ranges = {};  // both ends belong to it
  bool negated = false;
  int rule = -1;
  std::vector<Node> children = {};
  int min = 0;
  int max = kNoMax;
};

struct Rule {
  std::string name;
  int line = 0;  // of its first use or definition
  bool defined = false;
  Node body = {};
};

struct Grammar {
  std::vector<Rule> rules;
  int root = -1;
};

struct ParseLimits {
  int max_rules = 2000;
  int max_depth = 24;       // of brackets; llguidance takes 30
  int max_repeat = 100000;  // in {m,n}
};

// Reads `source`. Rules are `name ::= alternatives`, the first of them or "root" is the root.
// Literals "..." and '...', classes [a-z] and [^a-z], "." (any character), groups, ? * + {m} {m,}
// {m,n}, comments from # to the line's end. A rule goes on over line ends until the next
// `name ::=`. Errors are kInvalidArgument, "line 3: ...": bad text, a name without a rule or with
// two, a rule that no text can ever complete.
absl::StatusOr<Grammar> Parse(absl::string_view source, const ParseLimits& limits = {});

}  // namespace keel::ebnf

#endif  // KEEL_CORE_GRAMMAR_EBNF_TREE_H_
