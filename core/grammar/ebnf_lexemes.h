// Which parts of an EBNF grammar a greedy lexer may read in one go.
#ifndef KEEL_CORE_GRAMMAR_EBNF_LEXEMES_H_
#define KEEL_CORE_GRAMMAR_EBNF_LEXEMES_H_

#include <vector>

#include "absl/container/flat_hash_set.h"
#include "core/grammar/ebnf_tree.h"

namespace keel::ebnf {

// llguidance reads a terminal as far as its regular expression goes and only then asks what may
// follow: with terminals [a-z]+ and "x", [a-z]+ "x" matches nothing. Single characters as terminals
// are always right but slow, since every character of every token is then parsed by itself. So a
// part without recursion is a terminal where greed is harmless: for no text w of it and no
// character c that may follow it in the grammar, w c begins a text of this or another terminal.
// Parts where that fails are split until it holds.
class Lexemes {
 public:
  // Splits literals of `grammar` into characters where it must. `grammar` stays as it is then, and
  // outlives this.
  explicit Lexemes(Grammar* grammar);

  // Whether `node`, which stands in no other terminal, is one.
  bool IsTerminal(const Node& node) const;
  // Whether `node` can be the empty text.
  bool IsNullable(const Node& node) const;

 private:
  struct Analysis;

  bool IsRegular(const Node& node) const;
  void FindRegular();
  void FindNullable();
  void Split(Node* node);

  Grammar* grammar_;
  std::vector<bool> regular_;     // rules that need no recursion
  std::vector<bool> nullable_;    // rules
  std::vector<bool> split_rule_;  // regular rules that stand as rules
  absl::flat_hash_set<const Node*> split_;
  bool only_characters_ = false;
};

}  // namespace keel::ebnf

#endif  // KEEL_CORE_GRAMMAR_EBNF_LEXEMES_H_
