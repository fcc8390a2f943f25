#include "core/grammar/ebnf_lexemes.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "core/grammar/ebnf_nfa.h"

namespace keel::ebnf {
namespace {

// Some hundred milliseconds. A grammar that needs more is read by single characters.
constexpr int64_t kBudget = 20'000'000;
constexpr int kMaxSplits = 400;

void CountUses(const Node& node, int user, std::vector<std::vector<int>>* users,
               std::vector<int>* uses) {
  if (node.kind == Node::Kind::kRule) {
    (*users)[node.rule].push_back(user);
    ++(*uses)[user];
  }
  for (const Node& child : node.children) CountUses(child, user, users, uses);
}

bool IsCharacter(const Node& node) {
  return node.kind == Node::Kind::kClass ||
         (node.kind == Node::Kind::kLiteral && node.text.size() == 1);
}

// Parts that lose little by being split: what they consist of can be terminals.
bool IsComposite(const Node& node) {
  return node.kind == Node::Kind::kSequence || node.kind == Node::Kind::kChoice ||
         node.kind == Node::Kind::kRule;
}

}  // namespace

// What begins and what follows each terminal, given what is split so far.
struct Lexemes::Analysis {
  struct Terminal {
    Node* node;
    CharSet first;
    CharSet follow;
  };

  Analysis(Lexemes* lexemes, const Alphabet& alphabet) : lexemes(lexemes), alphabet(alphabet) {
    Grammar& grammar = *lexemes->grammar_;
    first.resize(grammar.rules.size());
    follow.resize(grammar.rules.size());
    do {
      changed = false;
      for (size_t i = 0; i < grammar.rules.size(); ++i) {
        Merge(First(grammar.rules[i].body), &first[i]);
      }
      Spend(grammar.rules.size());
    } while (changed && budget > 0);
    root = {.kind = Node::Kind::kRule, .rule = grammar.root};
  }

  void Spend(int64_t work) { budget -= work * 8; }

  void Merge(const CharSet& from, CharSet* to) {
    const CharSet merged = *to | from;
    changed |= merged != *to;
    *to = merged;
  }

  CharSet First(const Node& node) {
    Spend(1);
    CharSet set;
    switch (node.kind) {
      case Node::Kind::kLiteral:
        return node.text.empty() ? set : alphabet.Set(node.text[0]);
      case Node::Kind::kClass:
        return alphabet.Set(node);
      case Node::Kind::kRule:
        return first[node.rule];
      case Node::Kind::kSequence:
        for (const Node& child : node.children) {
          set |= First(child);
          if (!lexemes->IsNullable(child)) break;
        }
        return set;
      case Node::Kind::kChoice:
        for (const Node& child : node.children) set |= First(child);
        return set;
      case Node::Kind::kRepeat:
        return node.max == 0 ? set : First(node.children[0]);
    }
    return set;
  }

  // Brings `terminals` up to date with the parts that are split.
  void FindTerminals() {
    terminals.clear();
    index.clear();
    for (CharSet& set : follow) set.reset();
    is_reached.assign(follow.size(), false);
    reached.clear();
    do {
      changed = false;
      Visit(&root, CharSet());
      for (size_t i = 0; i < reached.size(); ++i) {
        Visit(&lexemes->grammar_->rules[reached[i]].body, follow[reached[i]]);
      }
    } while (changed && budget > 0);
  }

  // `after`: what may follow `node`.
  void Visit(Node* node, const CharSet& after) {
    Spend(1);
    if (lexemes->IsTerminal(*node)) {
      // All uses of a rule are one terminal.
      const void* key = node->kind == Node::Kind::kRule
                            ? static_cast<const void*>(&lexemes->grammar_->rules[node->rule])
                            : node;
      const auto [it, added] = index.try_emplace(key, terminals.size());
      if (added) terminals.push_back({.node = node, .first = First(*node), .follow = {}});
      Merge(after, &terminals[it->second].follow);
      return;
    }
    switch (node->kind) {
      case Node::Kind::kLiteral:
      case Node::Kind::kClass:
        break;
      case Node::Kind::kRule:
        Merge(after, &follow[node->rule]);
        if (!is_reached[node->rule]) {
          is_reached[node->rule] = true;
          reached.push_back(node->rule);
          changed = true;
        }
        break;
      case Node::Kind::kSequence: {
        CharSet next = after;
        for (size_t i = node->children.size(); i > 0; --i) {
          Node& child = node->children[i - 1];
          Visit(&child, next);
          next = lexemes->IsNullable(child) ? next | First(child) : First(child);
        }
        break;
      }
      case Node::Kind::kChoice:
        for (Node& child : node->children) Visit(&child, after);
        break;
      case Node::Kind::kRepeat:
        if (node->max == 0) break;
        Visit(&node->children[0], node->max == 1 ? after : after | First(node->children[0]));
        break;
    }
  }

  // A terminal to split, or null. What is out of budget is one that cannot be told harmless.
  Node* FindGreedy() {
    for (const Terminal& a : terminals) {
      if (a.follow.none()) continue;
      for (const Terminal& b : terminals) {
        if ((a.first & b.first).none()) continue;
        if (IsCharacter(*a.node) && IsCharacter(*b.node)) continue;
        const std::optional<Nfa>& a_nfa = NfaOf(*a.node);
        const std::optional<Nfa>& b_nfa = NfaOf(*b.node);
        if (!a_nfa.has_value()) return a.node;
        if (!b_nfa.has_value()) return b.node;
        if (!RunsOn(*a_nfa, a.follow, *b_nfa, &budget)) continue;
        if (IsComposite(*b.node)) return b.node;
        if (IsComposite(*a.node)) return a.node;
        return IsCharacter(*b.node) ? a.node : b.node;
      }
    }
    return nullptr;
  }

  const std::optional<Nfa>& NfaOf(const Node& node) {
    const void* key = node.kind == Node::Kind::kRule
                          ? static_cast<const void*>(&lexemes->grammar_->rules[node.rule])
                          : &node;
    const auto it = nfas.find(key);
    if (it != nfas.end()) return *it->second;
    return *(nfas[key] =
                 std::make_unique<std::optional<Nfa>>(Nfa::Of(*lexemes->grammar_, alphabet, node)));
  }

  Lexemes* lexemes;
  const Alphabet& alphabet;
  Node root;
  std::vector<CharSet> first;   // of rules
  std::vector<CharSet> follow;  // of rules
  std::vector<bool> is_reached;
  std::vector<int> reached;  // rules that stand as rules
  std::vector<Terminal> terminals;
  absl::flat_hash_map<const void*, size_t> index;
  absl::flat_hash_map<const void*, std::unique_ptr<std::optional<Nfa>>> nfas;
  bool changed = false;
  int64_t budget = kBudget;
};

Lexemes::Lexemes(Grammar* grammar) : grammar_(grammar) {
  FindRegular();
  FindNullable();
  split_rule_.resize(grammar->rules.size());
  // Nothing follows.
  if (regular_[grammar->root]) return;
  const std::optional<Alphabet> alphabet = Alphabet::Of(*grammar);
  if (alphabet.has_value()) {
    Analysis analysis(this, *alphabet);
    for (int splits = 0; splits < kMaxSplits && analysis.budget > 0; ++splits) {
      analysis.FindTerminals();
      Node* greedy = analysis.FindGreedy();
      if (analysis.budget <= 0) break;
      if (greedy == nullptr) return;
      Split(greedy);
    }
  }
  only_characters_ = true;
}

bool Lexemes::IsTerminal(const Node& node) const {
  if (IsCharacter(node)) return true;
  if (only_characters_) return false;
  if (node.kind == Node::Kind::kRule && split_rule_[node.rule]) return false;
  return !split_.contains(&node) && IsRegular(node);
}

bool Lexemes::IsNullable(const Node& node) const {
  const auto nullable = [this](const Node& child) { return IsNullable(child); };
  switch (node.kind) {
    case Node::Kind::kLiteral:
      return node.text.empty();
    case Node::Kind::kClass:
      return false;
    case Node::Kind::kRule:
      return nullable_[node.rule];
    case Node::Kind::kSequence:
      return absl::c_all_of(node.children, nullable);
    case Node::Kind::kChoice:
      return absl::c_any_of(node.children, nullable);
    case Node::Kind::kRepeat:
      return node.min == 0 || nullable(node.children[0]);
  }
  return false;
}

bool Lexemes::IsRegular(const Node& node) const {
  if (node.kind == Node::Kind::kRule) return regular_[node.rule];
  return absl::c_all_of(node.children, [this](const Node& child) { return IsRegular(child); });
}

// A rule is regular if those that it uses are: begins with those that use none.
void Lexemes::FindRegular() {
  const size_t n = grammar_->rules.size();
  std::vector<std::vector<int>> users(n);
  std::vector<int> uses(n);
  for (size_t i = 0; i < n; ++i) {
    CountUses(grammar_->rules[i].body, static_cast<int>(i), &users, &uses);
  }
  regular_.resize(n);
  std::vector<int> todo;
  for (size_t i = 0; i < n; ++i) {
    if (uses[i] == 0) todo.push_back(static_cast<int>(i));
  }
  while (!todo.empty()) {
    const int rule = todo.back();
    todo.pop_back();
    regular_[rule] = true;
    for (const int user : users[rule]) {
      if (--uses[user] == 0) todo.push_back(user);
    }
  }
}

void Lexemes::FindNullable() {
  const size_t n = grammar_->rules.size();
  std::vector<std::vector<int>> users(n);
  std::vector<int> uses(n);
  for (size_t i = 0; i < n; ++i) {
    CountUses(grammar_->rules[i].body, static_cast<int>(i), &users, &uses);
  }
  nullable_.resize(n);
  std::vector<int> todo;
  for (size_t i = 0; i < n; ++i) todo.push_back(static_cast<int>(i));
  while (!todo.empty()) {
    const int rule = todo.back();
    todo.pop_back();
    if (nullable_[rule] || !IsNullable(grammar_->rules[rule].body)) continue;
    nullable_[rule] = true;
    todo.insert(todo.end(), users[rule].begin(), users[rule].end());
  }
}

void Lexemes::Split(Node* node) {
  if (node->kind == Node::Kind::kRule) {
    split_rule_[node->rule] = true;
    node = &grammar_->rules[node->rule].body;
    if (IsCharacter(*node) || node->kind == Node::Kind::kRule) return;
  }
  if (node->kind == Node::Kind::kLiteral && node->text.size() > 1) {
    Node sequence = {.kind = Node::Kind::kSequence};
    for (const char32_t c : node->text) {
      sequence.children.push_back({.kind = Node::Kind::kLiteral, .text = std::u32string(1, c)});
    }
    *node = std::move(sequence);
  }
  split_.insert(node);
}

}  // namespace keel::ebnf
