#include "core/grammar/ebnf.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/grammar/ebnf_lexemes.h"
#include "core/grammar/lark.h"

namespace keel {
namespace {

using ebnf::Node;

// Lark has two levels: rules, and terminals, which are regular expressions.
class Writer {
 public:
  explicit Writer(ebnf::Grammar grammar) : grammar_(std::move(grammar)), lexemes_(&grammar_) {}

  std::string Run() {
    const Node root = {.kind = Node::Kind::kRule, .rule = grammar_.root};
    std::string out = absl::StrCat("start: ", Rule(root, /*inner=*/false), "\n");
    for (size_t i = 0; i < rules_.size(); ++i) {
      const int rule = rules_[i];
      absl::StrAppend(&out, "r", rule, ": ", Rule(grammar_.rules[rule].body, /*inner=*/false),
                      "\n");
    }
    for (size_t i = 0; i < terminals_.size(); ++i) {
      absl::StrAppend(&out, "T", i, ": ", terminals_[i], "\n");
    }
    for (size_t i = 0; i < parts_.size(); ++i) {
      absl::StrAppend(&out, "R", parts_[i], ": ",
                      Terminal(grammar_.rules[parts_[i]].body, /*inner=*/false), "\n");
    }
    return out;
  }

 private:
  // inner: what is written stands beside other things or before a repetition.
  std::string Rule(const Node& node, bool inner) {
    if (lexemes_.IsTerminal(node)) return TerminalName(node);
    const auto write = [this](const Node& child) { return Rule(child, /*inner=*/true); };
    switch (node.kind) {
      case Node::Kind::kRule:
        Add(node.rule, &has_rule_, &rules_);
        return absl::StrCat("r", node.rule);
      case Node::Kind::kLiteral:
        return Characters(node.text);
      default:
        return Composite(node, inner, write);
    }
  }

  std::string Terminal(const Node& node, bool inner) {
    const auto write = [this](const Node& child) { return Terminal(child, /*inner=*/true); };
    switch (node.kind) {
      case Node::Kind::kRule:
        Add(node.rule, &has_part_, &parts_);
        return absl::StrCat("R", node.rule);
      case Node::Kind::kLiteral: {
        std::string text;
        for (const char32_t c : node.text) AppendUtf8(c, &text);
        return LarkString(text);
      }
      case Node::Kind::kClass:
        return LarkClass(node.ranges, node.negated);
      default:
        return Composite(node, inner, write);
    }
  }

  template <typename Write>
  static std::string Composite(const Node& node, bool inner, const Write& write) {
    std::string text;
    if (node.kind == Node::Kind::kRepeat) {
      // Zero times is no Lark.
      if (node.max == 0) return "\"\"";
      text = absl::StrCat(write(node.children[0]), Counts(node));
      // Nor are two repetitions in a row.
      inner = true;
    } else {
      const char* separator = node.kind == Node::Kind::kChoice ? " | " : " ";
      for (const Node& child : node.children) {
        absl::StrAppend(&text, text.empty() ? "" : separator, write(child));
      }
    }
    return inner ? absl::StrCat("(", text, ")") : text;
  }

  static std::string Counts(const Node& node) {
    if (node.min == 0 && node.max == 1) return "?";
    if (node.max != Node::kNoMax) return absl::StrCat("{", node.min, ",", node.max, "}");
    if (node.min > 1) return absl::StrCat("{", node.min, ",}");
    return node.min == 0 ? "*" : "+";
  }

  std::string Characters(const std::u32string& text) {
    if (text.empty()) return "\"\"";
    std::string out;
    for (const char32_t c : text) {
      absl::StrAppend(&out, out.empty() ? "(" : " ",
                      TerminalName({.kind = Node::Kind::kLiteral, .text = std::u32string(1, c)}));
    }
    return absl::StrCat(out, ")");
  }

  // A terminal is never empty; where it may be, it is optional.
  std::string TerminalName(const Node& node) {
    const bool nullable = lexemes_.IsNullable(node);
    std::string text = Terminal(node, /*inner=*/nullable);
    if (nullable) absl::StrAppend(&text, " & /(?s:.)+/");
    const auto [it, added] = terminal_index_.try_emplace(text, terminals_.size());
    if (added) terminals_.push_back(std::move(text));
    return absl::StrCat(nullable ? "(T" : "T", it->second, nullable ? "?)" : "");
  }

  static void Add(int rule, std::vector<bool>* has, std::vector<int>* list) {
    if (static_cast<size_t>(rule) >= has->size()) has->resize(rule + 1);
    if ((*has)[rule]) return;
    (*has)[rule] = true;
    list->push_back(rule);
  }

  ebnf::Grammar grammar_;
  const ebnf::Lexemes lexemes_;
  std::vector<int> rules_;  // that stand as rules
  std::vector<bool> has_rule_;
  std::vector<int> parts_;  // rules that stand in terminals
  std::vector<bool> has_part_;
  std::vector<std::string> terminals_;
  absl::flat_hash_map<std::string, size_t> terminal_index_;
};

}  // namespace

bool IsEbnf(absl::string_view source) {
  for (;;) {
    source = absl::StripLeadingAsciiWhitespace(source);
    if (source.substr(0, 1) != "#" && source.substr(0, 2) != "//") break;
    source.remove_prefix(std::min(source.find('\n'), source.size()));
  }
  size_t name = 0;
  while (name < source.size() &&
         (absl::ascii_isalnum(source[name]) || source[name] == '_' || source[name] == '-')) {
    ++name;
  }
  return name > 0 && absl::StripLeadingAsciiWhitespace(source.substr(name)).substr(0, 3) == "::=";
}

absl::StatusOr<std::string> EbnfToLark(absl::string_view source, const ebnf::ParseLimits& limits) {
  KEEL_ASSIGN_OR_RETURN(ebnf::Grammar grammar, ebnf::Parse(source, limits));
  return Writer(std::move(grammar)).Run();
}

}  // namespace keel
