#include "core/grammar/ebnf_nfa.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"

namespace keel::ebnf {
namespace {

constexpr size_t kMaxStates = 600;
constexpr int kMaxDepth = 500;

void AddStarts(const Node& node, std::vector<char32_t>* starts) {
  for (const char32_t c : node.text) {
    starts->push_back(c);
    starts->push_back(c + 1);
  }
  for (const auto& [first, last] : node.ranges) {
    starts->push_back(first);
    starts->push_back(last + 1);
  }
  for (const Node& child : node.children) AddStarts(child, starts);
}

// A part of the expression: the states it may begin and end with.
struct Part {
  std::vector<int> first;
  std::vector<int> last;
  bool nullable = true;
};

void Append(const std::vector<int>& from, std::vector<int>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

class Builder {
 public:
  Builder(const Grammar& grammar, const Alphabet& alphabet)
      : grammar_(grammar), alphabet_(alphabet) {}

  std::optional<Nfa> Run(const Node& node) {
    Part whole = Build(node, 0);
    if (too_big_) return std::nullopt;
    nfa_.first = std::move(whole.first);
    nfa_.last.resize(nfa_.symbols.size());
    for (const int state : whole.last) nfa_.last[state] = true;
    for (std::vector<int>& follow : nfa_.follow) {
      absl::c_sort(follow);
      follow.erase(std::unique(follow.begin(), follow.end()), follow.end());
    }
    return std::move(nfa_);
  }

 private:
  Part Build(const Node& node, int depth) {
    if (depth > kMaxDepth) too_big_ = true;
    if (too_big_) return {};
    Part part;
    switch (node.kind) {
      case Node::Kind::kLiteral:
        for (const char32_t c : node.text) part = Join(std::move(part), State(alphabet_.Set(c)));
        return part;
      case Node::Kind::kClass:
        return State(alphabet_.Set(node));
      case Node::Kind::kRule:
        return Build(grammar_.rules[node.rule].body, depth + 1);
      case Node::Kind::kSequence:
        for (const Node& child : node.children) {
          part = Join(std::move(part), Build(child, depth + 1));
        }
        return part;
      case Node::Kind::kChoice:
        part.nullable = false;
        for (const Node& child : node.children) {
          const Part other = Build(child, depth + 1);
          Append(other.first, &part.first);
          Append(other.last, &part.last);
          part.nullable |= other.nullable;
        }
        return part;
      case Node::Kind::kRepeat:
        if (node.max == 0) return part;
        part = Build(node.children[0], depth + 1);
        if (node.max != 1) Link(part.last, part.first);
        part.nullable |= node.min == 0;
        return part;
    }
    return part;
  }

  Part State(const CharSet& symbols) {
    if (nfa_.symbols.size() >= kMaxStates) {
      too_big_ = true;
      return {};
    }
    const int state = static_cast<int>(nfa_.symbols.size());
    nfa_.symbols.push_back(symbols);
    nfa_.follow.emplace_back();
    return {.first = {state}, .last = {state}, .nullable = false};
  }

  Part Join(Part a, Part b) {
    Link(a.last, b.first);
    if (a.nullable) Append(b.first, &a.first);
    if (b.nullable) {
      Append(a.last, &b.last);
    }
    return {.first = std::move(a.first),
            .last = std::move(b.last),
            .nullable = a.nullable && b.nullable};
  }

  void Link(const std::vector<int>& from, const std::vector<int>& to) {
    for (const int state : from) Append(to, &nfa_.follow[state]);
  }

  const Grammar& grammar_;
  const Alphabet& alphabet_;
  Nfa nfa_;
  bool too_big_ = false;
};

}  // namespace

std::optional<Alphabet> Alphabet::Of(const Grammar& grammar) {
  Alphabet alphabet;
  std::vector<char32_t>& starts = alphabet.starts_;
  starts.push_back(0);
  for (const Rule& rule : grammar.rules) AddStarts(rule.body, &starts);
  absl::c_sort(starts);
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  if (starts.size() > kMaxClasses) return std::nullopt;
  return alphabet;
}

size_t Alphabet::Index(char32_t c) const {
  return absl::c_upper_bound(starts_, c) - starts_.begin() - 1;
}

CharSet Alphabet::Range(char32_t first, char32_t last) const {
  CharSet set;
  for (size_t i = Index(first); i <= Index(last); ++i) set.set(i);
  return set;
}

CharSet Alphabet::Set(char32_t c) const { return Range(c, c); }

CharSet Alphabet::Set(const Node& node) const {
  CharSet set;
  for (const auto& [first, last] : node.ranges) set |= Range(first, last);
  if (!node.negated) return set;
  CharSet all;
  for (size_t i = 0; i < starts_.size(); ++i) all.set(i);
  return all & ~set;
}

std::optional<Nfa> Nfa::Of(const Grammar& grammar, const Alphabet& alphabet, const Node& node) {
  return Builder(grammar, alphabet).Run(node);
}

bool RunsOn(const Nfa& a, const CharSet& next, const Nfa& b, int64_t* budget) {
  std::vector<bool> seen(a.symbols.size() * b.symbols.size());
  std::vector<std::pair<int, int>> todo;
  const auto reach = [&](const std::vector<int>& as, const std::vector<int>& bs) {
    for (const int i : as) {
      for (const int j : bs) {
        --*budget;
        const size_t index = i * b.symbols.size() + j;
        if (seen[index] || (a.symbols[i] & b.symbols[j]).none()) continue;
        seen[index] = true;
        todo.emplace_back(i, j);
      }
    }
  };
  reach(a.first, b.first);
  while (!todo.empty()) {
    if (*budget <= 0) return true;
    const auto [i, j] = todo.back();
    todo.pop_back();
    if (a.last[i]) {
      for (const int state : b.follow[j]) {
        if ((b.symbols[state] & next).any()) return true;
      }
    }
    reach(a.follow[i], b.follow[j]);
  }
  return false;
}

}  // namespace keel::ebnf
