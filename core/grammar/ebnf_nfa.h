// Regular parts of an EBNF grammar as automata over classes of characters.
#ifndef KEEL_CORE_GRAMMAR_EBNF_NFA_H_
#define KEEL_CORE_GRAMMAR_EBNF_NFA_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/grammar/ebnf_tree.h"

namespace keel::ebnf {

// Characters that no class of the grammar tells apart are one bit.
constexpr size_t kMaxClasses = 512;
using CharSet = std::bitset<kMaxClasses>;

class Alphabet {
 public:
  // Nothing if the grammar tells apart more than kMaxClasses.
  static std::optional<Alphabet> Of(const Grammar& grammar);

  CharSet Set(char32_t c) const;
  // Of a kClass.
  CharSet Set(const Node& node) const;

 private:
  size_t Index(char32_t c) const;
  CharSet Range(char32_t first, char32_t last) const;

  std::vector<char32_t> starts_;  // of the classes, ascending
};

// Glushkov's automaton: a state for each character of the expression. Repetitions are taken as
// unbounded, which only adds texts.
struct Nfa {
  std::vector<CharSet> symbols;          // of each state
  std::vector<std::vector<int>> follow;  // states after each state
  std::vector<int> first;
  std::vector<bool> last;

  // Nothing if it has too many states. `node` uses no recursive rule.
  static std::optional<Nfa> Of(const Grammar& grammar, const Alphabet& alphabet, const Node& node);
};

// Whether a text of `a` and then a character of `next` can begin a text of `b`. Takes the steps it
// makes from `*budget`; true when that is used up.
bool RunsOn(const Nfa& a, const CharSet& next, const Nfa& b, int64_t* budget);

}  // namespace keel::ebnf

#endif  // KEEL_CORE_GRAMMAR_EBNF_NFA_H_
