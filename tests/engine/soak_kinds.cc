#include "tests/engine/soak_kinds.h"

#include <algorithm>
#include <random>
#include <vector>

namespace keel {
namespace {

// Draws that are the same on every platform, unlike the standard's distributions.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  int Between(int low, int high) { return low + Below(high - low + 1); }
  bool Percent(int p) { return Below(100) < p; }

 private:
  std::mt19937_64 random_;
};

// Half of them begin as others do.
std::vector<int32_t> DrawPrompt(Dice& dice) {
  if (dice.Percent(10)) {  // a part again and again, which prompt lookup guesses well
    const std::vector<int32_t> part = Prompt(dice.Below(50), dice.Between(1, 9));
    std::vector<int32_t> out;
    for (int n = dice.Between(1, 12); n > 0; --n) out.insert(out.end(), part.begin(), part.end());
    return out;
  }
  std::vector<int32_t> out;
  if (dice.Percent(50)) out = Prompt(dice.Below(6), 16 * dice.Between(1, 6) + dice.Below(2));
  const std::vector<int32_t> rest =
      Prompt(1000 + dice.Below(1000), dice.Percent(80) ? dice.Between(1, 40) : dice.Between(1, 70));
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

// `constrained`: by a grammar too, which must leave a token among those that the others leave.
void AddSampling(Dice& dice, int max_tokens, bool constrained, SoakKind& kind) {
  Asked& request = kind.request;
  if (dice.Percent(55)) {
    request.Draws(dice.Below(1000), 0.1 * dice.Between(3, 15));
    if (dice.Percent(20)) request.Float("top_p", 0.1 * dice.Between(3, 10));
    if (dice.Percent(20)) request.Int("top_k", dice.Between(1, 60));
    if (dice.Percent(10)) request.Float("min_p", 0.01 * dice.Between(0, 20));
    if (dice.Percent(5)) request.Float("typical_p", 0.1 * dice.Between(3, 9));
    kind.description += " seeded";
  } else if (dice.Percent(10)) {
    request.Float("temperature", 1);
    kind.is_exact = false;
    kind.description += " unseeded";
  }
  if (dice.Percent(10)) request.Float("repetition_penalty", 0.1 * dice.Between(8, 14));
  if (dice.Percent(10)) request.Float("presence_penalty", 0.1 * dice.Between(-10, 10));
  if (dice.Percent(10)) request.Float("frequency_penalty", 0.1 * dice.Between(-5, 10));
  if (constrained) return;
  if (dice.Percent(10)) request.Int("min_tokens", std::min(max_tokens, dice.Between(1, 10)));
  if (dice.Percent(5)) request.Add("bad_words", "the");
  if (dice.Percent(5)) {
    for (int i = 0; i < 30; ++i) request.Add("allowed_token_ids", dice.Between(3, 127));
  }
}

void AddEnds(Dice& dice, SoakKind& kind) {
  if (dice.Percent(50)) kind.request.Int("ignore_eos", 0);
  if (dice.Percent(20)) {
    kind.description += " stop_token_ids";
    for (int i = dice.Between(1, 3); i > 0; --i)
      kind.request.Add("stop_token_ids", dice.Between(3, 127));
  }
  if (kind.chooses || dice.Percent(75)) return;
  kind.description += " stop";
  static constexpr const char* kStops[] = {"a", "he", "!", "in", "Z", "on", "5", "user"};
  for (int i = dice.Between(1, 2); i > 0; --i) kind.request.Add("stop", kStops[dice.Below(8)]);
  if (dice.Percent(30)) kind.request.Int("include_stop_str_in_output", 1);
}

void AddGrammar(Dice& dice, SoakKind& kind) {
  static constexpr std::pair<const char*, const char*> kGrammars[] = {
      {"structured_regex", "(cat|dog)s? [0-9]{2,30}"},
      {"structured_regex", "[a-f]{5,60}"},
      {"structured_choice", R"(["red", "green", "a little blue"])"},
      {"structured_json_object", "1"},
      {"structured_json", R"({"type": "object", "properties": {"a": {"type": "integer"},
          "b": {"type": "array", "items": {"type": "boolean"}}}, "required": ["a", "b"]})"},
      {"structured_grammar", "root ::= [a-z]+ (\" \" [a-z]+){2,5} \".\""},
  };
  const auto& [name, source] = kGrammars[dice.Below(6)];
  kind.request.String(name, source).Int("ignore_eos", 0);
  kind.description += std::string(" ") + name;
}

}  // namespace

SoakKind MakeSoakKind(uint64_t seed) {
  Dice dice(seed * 1000003 + 17);
  const std::vector<int32_t> prompt = DrawPrompt(dice);
  const int max_tokens = dice.Percent(70) ? dice.Between(1, 30) : dice.Between(1, 60);
  SoakKind kind{.seed = seed, .request = Asked(prompt, max_tokens), .description = "kind"};
  kind.description += " " + std::to_string(seed) + ": prompt " + std::to_string(prompt.size()) +
                      " max_tokens " + std::to_string(max_tokens);
  const bool by_beams = dice.Percent(5);
  const bool has_grammar = !by_beams && dice.Percent(10);
  if (by_beams) {
    const int width = dice.Between(1, 4);
    kind.request.Int("beam_width", width).Int("n", dice.Between(1, width));
    kind.request.Int("early_stopping", dice.Below(3)).Float("length_penalty", dice.Between(-1, 2));
    kind.chooses = true;
    kind.description += " beam_width " + std::to_string(width);
  } else {
    AddSampling(dice, max_tokens, has_grammar, kind);
    if (dice.Percent(20)) {
      const int n = dice.Between(2, 4);
      kind.request.Int("n", n);
      kind.description += " n " + std::to_string(n);
      kind.chooses = dice.Percent(30);
      if (kind.chooses) kind.request.Int("best_of", n + dice.Below(3));
    }
    if (dice.Percent(20)) kind.request.Int("logprobs", dice.Below(4));
  }
  AddEnds(dice, kind);
  if (has_grammar) AddGrammar(dice, kind);
  if (dice.Percent(8)) {
    kind.request.Int("prompt_logprobs", dice.Below(3));
    kind.description += " prompt_logprobs";
  }
  if (dice.Percent(15)) kind.request.Int("stream", 0);
  if (dice.Percent(10)) kind.request.String("cache_salt", dice.Percent(50) ? "red" : "blue");
  return kind;
}

}  // namespace keel
