// What structured output costs with the tokenizer of a checkpoint:
//   grammar_bench <checkpoint>               vocabulary, typical grammars, time of each mask
//   grammar_bench <checkpoint> <kind> <file> one grammar: json, regex, choice or grammar
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/grammar/grammar_compiler.h"
#include "core/grammar/grammar_matcher.h"
#include "core/grammar/grammar_spec.h"
#include "core/text/text_files.h"
#include "core/text/tokenizer.h"

namespace keel {
namespace {

using Kind = GrammarSpec::Kind;

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

double Milliseconds(absl::Time since) { return absl::ToDoubleMilliseconds(absl::Now() - since); }

int PeakMegabytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int>(usage.ru_maxrss >> 10);
}

constexpr char kPerson[] = R"({"type": "object", "properties": {
  "name": {"type": "string", "maxLength": 60}, "age": {"type": "integer", "minimum": 0,
  "maximum": 150}, "email": {"type": "string", "format": "email"}, "tags": {"type": "array",
  "items": {"enum": ["red", "green", "blue"]}, "maxItems": 5}, "address": {"$ref": "#/$defs/a"}},
  "required": ["name", "age", "tags", "address"], "additionalProperties": false,
  "$defs": {"a": {"type": "object", "properties": {"street": {"type": "string"}, "zip":
  {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["street", "zip"]}}})";
constexpr char kPersonText[] =
    R"({"name": "Ann van Dyk", "age": 42, "email": "ann@example.org", "tags": ["red", "blue"], )"
    R"("address": {"street": "12 Long Street, near the old bridge", "zip": "12345"}})";
constexpr char kJsonEbnf[] = R"(root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)";

struct Case {
  const char* name;
  GrammarSpec spec;
  std::string text;
};

std::vector<Case> Cases() {
  return {
      {"json schema", {.kind = Kind::kJsonSchema, .source = kPerson}, kPersonText},
      {"json object", {.kind = Kind::kJsonObject}, kPersonText},
      {"regex",
       {.kind = Kind::kRegex, .source = R"(\d{4}-\d{2}-\d{2}: [A-Z][a-z]+(, [a-z ]+){1,5}\.)"},
       "2024-05-06: Rain, then some sun, and wind in the evening."},
      {"choice", {.kind = Kind::kChoice, .source = R"(["yes", "no", "it depends"])"}, "it depends"},
      {"ebnf json", {.kind = Kind::kGrammar, .source = kJsonEbnf}, kPersonText},
  };
}

void Walk(const Tokenizer& tokenizer, GrammarCompiler& compiler, const Case& test) {
  auto start = absl::Now();
  Must(compiler.Compile(test.spec));
  const double first = Milliseconds(start);
  start = absl::Now();
  std::unique_ptr<GrammarMatcher> matcher = Must(compiler.Compile(test.spec));
  const double again = Milliseconds(start);

  std::vector<double> masks;
  double consumed = 0;
  std::vector<uint32_t> mask(matcher->mask_words());
  const std::vector<int32_t> ids = Must(tokenizer.Encode(test.text, {.add_special_tokens = false}));
  for (const int32_t id : ids) {
    start = absl::Now();
    absl::Status status = matcher->FillMask(absl::MakeSpan(mask));
    masks.push_back(Milliseconds(start));
    start = absl::Now();
    status.Update(matcher->Consume(id));
    consumed += Milliseconds(start);
    if (!status.ok()) {
      std::printf("%-12s after %zu tokens: %s\n", test.name, masks.size(),
                  status.ToString().c_str());
      return;
    }
  }
  std::sort(masks.begin(), masks.end());
  std::printf(
      "%-12s compile %7.2f ms, again %6.3f ms; %3zu masks: p50 %6.3f ms, p99 %6.3f ms, "
      "longest %6.3f ms; consume %.4f ms\n",
      test.name, first, again, masks.size(), masks[masks.size() / 2],
      masks[masks.size() * 99 / 100], masks.back(), consumed / masks.size());
}

// The longest step among some, with random tokens.
void RandomWalk(GrammarMatcher& matcher) {
  std::mt19937 random(1);
  std::vector<uint32_t> mask(matcher.mask_words());
  double longest = 0;
  int steps = 0;
  absl::Status status;
  for (; steps < 200 && !matcher.IsStopped() && status.ok(); ++steps) {
    const auto start = absl::Now();
    status = matcher.FillMask(absl::MakeSpan(mask));
    longest = std::max(longest, Milliseconds(start));
    std::vector<int32_t> allowed;
    for (size_t i = 0; i < mask.size() * 32; ++i) {
      if (mask[i / 32] >> i % 32 & 1) allowed.push_back(static_cast<int32_t>(i));
    }
    if (status.ok()) status = matcher.Consume(allowed[random() % allowed.size()]);
    longest = std::max(longest, Milliseconds(start));
  }
  std::printf("  %d random steps, the longest %.1f ms, peak %d MB: %s\n", steps, longest,
              PeakMegabytes(), status.ToString().substr(0, 200).c_str());
}

int Main(int argc, char** argv) {
  if (argc != 2 && argc != 4 && argc != 5) {
    std::fprintf(stderr,
                 "usage: grammar_bench <checkpoint> [json|regex|choice|grammar <file> "
                 "[<seconds to wait>]]\n");
    return 2;
  }
  const TextFiles files = Must(ReadTextFiles(argv[1]));
  const auto tokenizer = Must(Tokenizer::Create(files));
  const int32_t vocab_size = tokenizer->vocab_size();
  GrammarLimits limits;
  if (argc == 5) limits.compile_time = absl::Seconds(std::atoi(argv[4]));
  const auto compiler =
      GrammarCompiler::Create(tokenizer, vocab_size, {tokenizer->eos_id().value_or(0)}, limits);
  const int before = PeakMegabytes();
  auto start = absl::Now();
  Must(compiler->Compile({.kind = Kind::kChoice, .source = R"(["a"])"}));
  std::printf("%d tokens; vocabulary %.0f ms, %d MB more at its peak\n", vocab_size,
              Milliseconds(start), PeakMegabytes() - before);
  if (argc == 2) {
    for (const Case& test : Cases()) Walk(*tokenizer, *compiler, test);
    return 0;
  }
  GrammarSpec spec;
  const absl::string_view kind = argv[2];
  spec.kind = kind == "json"     ? Kind::kJsonSchema
              : kind == "regex"  ? Kind::kRegex
              : kind == "choice" ? Kind::kChoice
                                 : Kind::kGrammar;
  spec.source = Must(ReadFile(argv[3]));
  start = absl::Now();
  const auto matcher = compiler->Compile(spec);
  std::printf("%s: %.0f ms, peak %d MB: %s\n", argv[3], Milliseconds(start), PeakMegabytes(),
              matcher.status().ToString().substr(0, 300).c_str());
  if (matcher.ok()) RandomWalk(**matcher);
  return 0;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) { return keel::Main(argc, argv); }
