#include "core/grammar/ebnf_tree.h"

#include <algorithm>
#include <cstddef>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel::ebnf {
namespace {

constexpr char32_t kMaxChar = 0x10ffff;

bool IsNameChar(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; }

bool IsScalar(char32_t c) { return c <= kMaxChar && (c < 0xd800 || c > 0xdfff); }

class Parser {
 public:
  Parser(absl::string_view source, const ParseLimits& limits) : rest_(source), limits_(limits) {}

  absl::StatusOr<Grammar> Run() {
    SkipSpace();
    while (!rest_.empty()) {
      KEEL_RETURN_IF_ERROR(ParseRule());
    }
    if (grammar_.rules.empty()) return Error("there is no rule");
    for (const Rule& rule : grammar_.rules) {
      if (!rule.defined) {
        return absl::InvalidArgumentError(
            absl::StrCat("line ", rule.line, ": there is no rule '", rule.name, "'"));
      }
    }
    const auto root = names_.find("root");
    if (root != names_.end()) grammar_.root = root->second;
    KEEL_RETURN_IF_ERROR(CheckThatRulesEnd());
    return std::move(grammar_);
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", what));
  }

  std::string Found() const {
    if (rest_.empty()) return "the end of the text";
    const absl::string_view line = rest_.substr(0, rest_.find('\n'));
    if (line.empty()) return "the end of the line";
    size_t n = std::min<size_t>(line.size(), 20);
    // Not in the middle of a character.
    while (n > 0 && n < line.size() && (line[n] & 0xc0) == 0x80) --n;
    return absl::StrCat("'", line.substr(0, n), "'");
  }

  absl::Status Expected(absl::string_view what) const {
    return Error(absl::StrCat("found ", Found(), ", expected ", what));
  }

  void Advance(size_t n) {
    line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + n, '\n'));
    rest_.remove_prefix(n);
  }

  bool Eat(absl::string_view text) {
    if (rest_.substr(0, text.size()) != text) return false;
    Advance(text.size());
    return true;
  }

  void SkipSpace() {
    for (;;) {
      size_t n = 0;
      while (n < rest_.size() && absl::ascii_isspace(rest_[n])) ++n;
      if (n < rest_.size() && rest_[n] == '#') n = std::min(rest_.find('\n', n), rest_.size());
      if (n == 0) return;
      Advance(n);
    }
  }

  absl::string_view PeekName() const {
    size_t n = 0;
    while (n < rest_.size() && IsNameChar(rest_[n])) ++n;
    return rest_.substr(0, n);
  }

  bool AtDefinition() const {
    const size_t name = PeekName().size();
    return name > 0 && absl::StripLeadingAsciiWhitespace(rest_.substr(name)).substr(0, 3) == "::=";
  }

  absl::StatusOr<int> RuleOf(absl::string_view name) {
    const auto [it, added] = names_.try_emplace(name, static_cast<int>(grammar_.rules.size()));
    if (added) {
      if (static_cast<int>(grammar_.rules.size()) >= limits_.max_rules) {
        return Error(absl::StrCat("there are more than ", limits_.max_rules, " rules"));
      }
      grammar_.rules.push_back({.name = std::string(name), .line = line_});
    }
    return it->second;
  }

  absl::Status ParseRule() {
    if (!AtDefinition()) return Expected("a rule, name ::= ...");
    const absl::string_view name = PeekName();
    KEEL_ASSIGN_OR_RETURN(const int index, RuleOf(name));
    if (grammar_.rules[index].defined) {
      return Error(absl::StrCat("there is a rule '", name, "' already"));
    }
    if (grammar_.root < 0) grammar_.root = index;
    Advance(name.size());
    SkipSpace();
    Advance(3);
    KEEL_ASSIGN_OR_RETURN(Node body, ParseChoice(0));
    grammar_.rules[index].body = std::move(body);
    grammar_.rules[index].defined = true;
    return absl::OkStatus();
  }

  absl::StatusOr<Node> ParseChoice(int depth) {
    Node choice = {.kind = Node::Kind::kChoice};
    do {
      KEEL_ASSIGN_OR_RETURN(Node sequence, ParseSequence(depth));
      choice.children.push_back(std::move(sequence));
    } while (Eat("|"));
    if (choice.children.size() == 1) return std::move(choice.children[0]);
    return choice;
  }

  absl::StatusOr<Node> ParseSequence(int depth) {
    Node sequence = {.kind = Node::Kind::kSequence};
    for (;;) {
      SkipSpace();
      if (rest_.empty() || rest_[0] == '|' || AtDefinition()) break;
      if (rest_[0] == ')') {
        if (depth == 0) return Expected("a rule or the end");
        break;
      }
      KEEL_ASSIGN_OR_RETURN(Node atom, ParseAtom(depth));
      KEEL_ASSIGN_OR_RETURN(Node item, ParseRepeat(std::move(atom)));
      sequence.children.push_back(std::move(item));
    }
    if (sequence.children.empty()) return Node();
    if (sequence.children.size() == 1) return std::move(sequence.children[0]);
    return sequence;
  }

  absl::StatusOr<Node> ParseAtom(int depth) {
    const char c = rest_[0];
    if (c == '"' || c == '\'') return ParseLiteral(c);
    if (c == '[') return ParseClass();
    if (c == '.') {
      Advance(1);
      return Node{.kind = Node::Kind::kClass, .negated = true};
    }
    if (c == '(') {
      if (depth >= limits_.max_depth) {
        return Error(absl::StrCat("groups are nested deeper than ", limits_.max_depth));
      }
      const int line = line_;
      Advance(1);
      KEEL_ASSIGN_OR_RETURN(Node group, ParseChoice(depth + 1));
      if (!Eat(")")) return Expected(absl::StrCat("')' for the '(' of line ", line));
      return group;
    }
    const absl::string_view name = PeekName();
    if (name.empty()) return Expected("a literal, a class, a rule's name or a group");
    KEEL_ASSIGN_OR_RETURN(const int rule, RuleOf(name));
    Advance(name.size());
    return Node{.kind = Node::Kind::kRule, .rule = rule};
  }

  absl::StatusOr<Node> ParseLiteral(char quote) {
    Node literal;
    Advance(1);
    while (!rest_.empty() && rest_[0] != quote && rest_[0] != '\n') {
      KEEL_ASSIGN_OR_RETURN(const char32_t c, ParseChar());
      literal.text.push_back(c);
    }
    if (rest_.empty() || rest_[0] != quote) return Expected("the quote that ends the literal");
    Advance(1);
    return literal;
  }

  absl::StatusOr<Node> ParseClass() {
    Node node = {.kind = Node::Kind::kClass};
    Advance(1);
    node.negated = Eat("^");
    while (!rest_.empty() && rest_[0] != ']' && rest_[0] != '\n') {
      KEEL_ASSIGN_OR_RETURN(const char32_t first, ParseChar());
      char32_t last = first;
      if (rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']') {
        Advance(1);
        KEEL_ASSIGN_OR_RETURN(last, ParseChar());
      }
      if (last < first) return Error("a range of a class ends before it begins");
      node.ranges.emplace_back(first, last);
    }
    if (!Eat("]")) return Expected("']'");
    if (node.ranges.empty() && !node.negated) return Error("a class has no characters");
    return node;
  }

  // One character of a literal or class.
  absl::StatusOr<char32_t> ParseChar() {
    if (rest_[0] == '\\') return ParseEscape();
    const unsigned char lead = rest_[0];
    const size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = size == 1 ? lead : lead & (0x7f >> size);
    bool valid = lead < 0x80 || (lead >= 0xc2 && lead <= 0xf4 && rest_.size() >= size);
    for (size_t i = 1; valid && i < size; ++i) {
      valid = (rest_[i] & 0xc0) == 0x80;
      c = c << 6 | (rest_[i] & 0x3f);
    }
    if (!valid || !IsScalar(c)) return Error("the text is not UTF-8");
    Advance(size);
    return c;
  }

  absl::StatusOr<char32_t> ParseEscape() {
    if (rest_.size() < 2) return Expected("an escape");
    const char kind = rest_[1];
    const int digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0) {
      char32_t c = 0;
      for (int i = 0; i < digits; ++i) {
        const char d = static_cast<size_t>(2 + i) < rest_.size() ? rest_[2 + i] : 0;
        if (!absl::ascii_isxdigit(d)) return Expected(absl::StrCat(digits, " hexadecimal digits"));
        c = c << 4 | (absl::ascii_isdigit(d) ? d - '0' : absl::ascii_tolower(d) - 'a' + 10);
      }
      if (!IsScalar(c)) return Expected("a Unicode character");
      Advance(2 + digits);
      return c;
    }
    char32_t c = kind;
    switch (kind) {
      case 'n':
        c = '\n';
        break;
      case 'r':
        c = '\r';
        break;
      case 't':
        c = '\t';
        break;
      case 'f':
        c = '\f';
        break;
      case 'b':
        c = '\b';
        break;
      case 'v':
        c = '\v';
        break;
      default:
        if (!absl::ascii_ispunct(kind))
          return Expected("one of \\n \\t \\r \\xHH \\uHHHH \\\\ \\\"");
    }
    Advance(2);
    return c;
  }

  absl::StatusOr<Node> ParseRepeat(Node atom) {
    for (int depth = 0;; ++depth) {
      // `a?*?*...` nests as deep as it is long.
      if (depth > 3) return Error("too many repetitions in a row");
      SkipSpace();
      int min = 0;
      int max = Node::kNoMax;
      if (Eat("?")) {
        max = 1;
      } else if (Eat("+")) {
        min = 1;
      } else if (!rest_.empty() && rest_[0] == '{') {
        KEEL_RETURN_IF_ERROR(ParseCounts(&min, &max));
      } else if (!Eat("*")) {
        return atom;
      }
      Node repeat = {.kind = Node::Kind::kRepeat, .min = min, .max = max};
      repeat.children.push_back(std::move(atom));
      atom = std::move(repeat);
    }
  }

  absl::Status ParseCounts(int* min, int* max) {
    Advance(1);
    SkipSpace();
    const bool has_min = !rest_.empty() && absl::ascii_isdigit(rest_[0]);
    if (has_min) {
      KEEL_ASSIGN_OR_RETURN(*min, ParseCount());
    }
    *max = *min;
    if (Eat(",")) {
      SkipSpace();
      *max = Node::kNoMax;
      if (!rest_.empty() && absl::ascii_isdigit(rest_[0])) {
        KEEL_ASSIGN_OR_RETURN(*max, ParseCount());
      }
    } else if (!has_min) {
      return Expected("a number");
    }
    if (!Eat("}")) return Expected("'}'");
    if (*max != Node::kNoMax && *max < *min) return Error("a repetition ends before it begins");
    return absl::OkStatus();
  }

  absl::StatusOr<int> ParseCount() {
    int count = 0;
    while (!rest_.empty() && absl::ascii_isdigit(rest_[0])) {
      count = count * 10 + (rest_[0] - '0');
      if (count > limits_.max_repeat) {
        return Error(absl::StrCat("at most ", limits_.max_repeat, " repetitions are taken"));
      }
      Advance(1);
    }
    SkipSpace();
    return count;
  }

  static bool Ends(const Node& node, const std::vector<bool>& ends) {
    const auto ends_too = [&](const Node& child) { return Ends(child, ends); };
    switch (node.kind) {
      case Node::Kind::kLiteral:
      case Node::Kind::kClass:
        return true;
      case Node::Kind::kRule:
        return ends[node.rule];
      case Node::Kind::kSequence:
        return absl::c_all_of(node.children, ends_too);
      case Node::Kind::kChoice:
        return absl::c_any_of(node.children, ends_too);
      case Node::Kind::kRepeat:
        return node.min == 0 || ends_too(node.children[0]);
    }
    return true;
  }

  // Refuses `a ::= a "x"`, which no text completes. A rule is looked at again when one that it uses
  // was found to end.
  absl::Status CheckThatRulesEnd() {
    const size_t n = grammar_.rules.size();
    std::vector<std::vector<int>> users(n);
    for (size_t i = 0; i < n; ++i) AddUses(grammar_.rules[i].body, static_cast<int>(i), &users);
    std::vector<bool> ends(n);
    std::vector<int> todo;
    for (size_t i = n; i > 0; --i) todo.push_back(static_cast<int>(i) - 1);
    while (!todo.empty()) {
      const int rule = todo.back();
      todo.pop_back();
      if (ends[rule] || !Ends(grammar_.rules[rule].body, ends)) continue;
      ends[rule] = true;
      todo.insert(todo.end(), users[rule].begin(), users[rule].end());
    }
    for (size_t i = 0; i < n; ++i) {
      if (ends[i]) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("line ", grammar_.rules[i].line, ": rule '", grammar_.rules[i].name,
                       "' never ends: each of its alternatives needs itself"));
    }
    return absl::OkStatus();
  }

  static void AddUses(const Node& node, int user, std::vector<std::vector<int>>* users) {
    if (node.kind == Node::Kind::kRule) (*users)[node.rule].push_back(user);
    for (const Node& child : node.children) AddUses(child, user, users);
  }

  absl::string_view rest_;
  const ParseLimits limits_;
  int line_ = 1;
  Grammar grammar_;
  absl::flat_hash_map<std::string, int> names_;
};

}  // namespace

absl::StatusOr<Grammar> Parse(absl::string_view source, const ParseLimits& limits) {
  return Parser(source, limits).Run();
}

}  // namespace keel::ebnf
