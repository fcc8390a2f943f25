// Many random requests, some cancelled, some paused for a while, on an engine with too few blocks: each ends once, as it
// would alone, and leaves nothing.
//
// A few hundred by default; by hand:
//   ./bazelw run //tests/engine:soak_test -- --requests=10000 [--seed=7]
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <string_view>

#include "gtest/gtest.h"
#include "tests/engine/soak_kinds.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

int num_requests = 300;
uint64_t soak_seed = 1;

constexpr int kUnderWay = 40;  // at once
constexpr double kMaxGrowthMiB = 48;

double ResidentMiB() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

template <typename T>
bool IsPrefix(const T& part, const T& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

bool Near(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return x == y || std::abs(x - y) <= 1e-3f * std::max(1.0f, std::abs(y));
  });
}

// What is wrong with `text`, or "".
std::string CompareText(const Text& text, const Text& alone, bool may_be_cut) {
  if (text.num_ends != 1) return "ended " + std::to_string(text.num_ends) + " times";
  if (may_be_cut && text.reason == "abort") {
    if (!IsPrefix(text.tokens, alone.tokens)) return "the tokens are no prefix";
    // Its end may be what a stop string or a character held back.
    constexpr size_t kHeldBack = 12;
    const std::string sure =
        text.text.substr(0, text.text.size() - std::min(text.text.size(), kHeldBack));
    return IsPrefix(sure, alone.text) ? "" : "the text is no prefix";
  }
  if (text.tokens != alone.tokens) {
    const auto at = std::mismatch(text.tokens.begin(), text.tokens.end(), alone.tokens.begin(),
                                  alone.tokens.end());
    return "other tokens from " + std::to_string(at.first - text.tokens.begin()) + " on";
  }
  if (text.text != alone.text) return "the text is '" + text.text + "', not '" + alone.text + "'";
  if (text.reason != alone.reason || text.stop_reason != alone.stop_reason)
    return "ended by " + text.reason + " " + text.stop_reason + ", not " + alone.reason;
  if (!Near(text.logprobs, alone.logprobs)) return "other logprobs";
  if (!Near(text.prompt_logprobs, alone.prompt_logprobs)) return "other prompt_logprobs";
  return "";
}

std::string Compare(const Answer& answer, const Answer& alone, const SoakKind& kind,
                    bool may_be_cut) {
  if (answer.num_last != 1)
    return "the request ended " + std::to_string(answer.num_last) + " times";
  bool is_cut = false;
  for (const auto& [index, text] : answer.texts) is_cut = is_cut || text.reason == "abort";
  if (is_cut && !may_be_cut) return "it was cut short";
  if (answer.texts.size() != alone.texts.size() && !is_cut)
    return std::to_string(answer.texts.size()) + " texts";
  if (!kind.is_exact || (is_cut && kind.chooses)) return "";
  for (const auto& [index, text] : answer.texts) {
    if (!alone.texts.contains(index)) return "a text " + std::to_string(index);
    // What contradicts itself (a grammar and tokens that it has no use for) fails alone too.
    if (text.reason == "error" && alone[index].reason != "error")
      return "error: " + answer.status.message();
    const std::string wrong = CompareText(text, alone[index], may_be_cut);
    if (!wrong.empty()) return "text " + std::to_string(index) + ": " + wrong;
  }
  return "";
}

// Kinds of requests with what each says alone.
struct Known {
  SoakKind kind;
  Answer alone;
};

std::vector<Known> AskAlone(int count) {
  const std::unique_ptr<Engine> engine = StartEngine();
  std::vector<Known> out;
  for (int i = 0; i < count; ++i) {
    SoakKind kind = MakeSoakKind(soak_seed * 10000 + static_cast<uint64_t>(i));
    Answer alone = Ask(*engine, kind.request);
    out.push_back({std::move(kind), std::move(alone)});
  }
  return out;
}

class Soak {
 public:
  Soak(Engine& engine, const std::vector<Known>& known, uint64_t seed)
      : engine_(engine), known_(known), client_(engine), random_(seed) {}

  void Run(int count) {
    double settled = 0;
    for (int i = 0; i < count; ++i) {
      Submit(i);
      DoWhatIsDue(i);
      Check();
      if (i == count / 5) settled = ResidentMiB();
    }
    while (!due_.empty()) DoWhatIsDue(due_.begin()->first);
    client_.Wait();
    Check();
    EXPECT_TRUE(under_way_.empty()) << under_way_.size() << " never ended";
    EXPECT_TRUE(ComesToRest(engine_));
    const double growth = ResidentMiB() - settled;
    std::printf("%d requests: %d cut short, %d wrong, %.0f preemptions, %.1f MiB, grew by %.1f\n",
                count, num_cut_, num_wrong_, Metric(engine_, "vllm:num_preemptions_total"),
                ResidentMiB(), growth);
    EXPECT_EQ(num_wrong_, 0);
    EXPECT_LT(growth, kMaxGrowthMiB);
  }

 private:
  struct UnderWay {
    size_t kind;
    bool may_be_cut;
  };
  struct Due {
    int key;
    void (Client::*what)(int key);
  };

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  void Submit(int key) {
    client_.WaitFor(kUnderWay - 1);
    const size_t index = random_() % known_.size();
    SoakKind kind = MakeSoakKind(known_[index].kind.seed);
    kind.request.Int("priority", Below(5) - 2);
    const bool cancels = Below(100) < 15, times_out = Below(100) < 4;
    if (times_out) kind.request.Int("timeout_ms", 1 + Below(60));
    under_way_[key] = {index, cancels || times_out};
    if (cancels) due_.emplace(key + Below(30), Due{key, &Client::Cancel});
    if (Below(100) < 10) {
      const int at = key + Below(10);
      due_.emplace(at, Due{key, &Client::Pause});
      due_.emplace(at + 1 + Below(10), Due{key, &Client::Resume});
    }
    const Status status = client_.Start(key, kind.request);
    ASSERT_TRUE(status.ok()) << kind.description << ": " << status.message();
  }

  void DoWhatIsDue(int now) {
    while (!due_.empty() && due_.begin()->first <= now) {
      const Due due = due_.begin()->second;
      if (under_way_.contains(due.key)) (client_.*due.what)(due.key);
      due_.erase(due_.begin());
    }
  }

  void Check() {
    for (const auto& [key, answer] : client_.TakeEnded()) {
      ASSERT_TRUE(under_way_.contains(key)) << "request " << key << " ended again";
      const UnderWay asked = under_way_[key];
      under_way_.erase(key);
      const Known& known = known_[asked.kind];
      for (const auto& [index, text] : answer.texts) {
        if (text.reason != "abort") continue;
        ++num_cut_;
        break;
      }
      const std::string wrong = Compare(answer, known.alone, known.kind, asked.may_be_cut);
      if (wrong.empty()) continue;
      if (++num_wrong_ <= 10)
        ADD_FAILURE() << "request " << key << ", " << known.kind.description << ": " << wrong;
    }
  }

  Engine& engine_;
  const std::vector<Known>& known_;
  Client client_;
  std::mt19937_64 random_;
  std::map<int, UnderWay> under_way_;
  std::multimap<int, Due> due_;  // by when: after so many requests
  int num_cut_ = 0, num_wrong_ = 0;
};

TEST(SoakTest, EachEndsOnceAsItWouldAlone) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::vector<Known> known = AskAlone(std::clamp(num_requests / 5, 1, 200));
  std::printf("%zu kinds alone: %.1f s\n", known.size(), seconds());
  // The longest kind fits, and not much beside it.
  const Flags tight = WithBlocks(kSoakMaxTokens / 16 + 10, {{"max-num-seqs", "12"}});
  for (const Flags& flags :
       {Flags{{"max-num-batched-tokens", "64"}}, Flags{{"max-num-batched-tokens", "200"},
                                                       {"spec-method", "ngram"},
                                                       {"prompt-lookup-min", "1"},
                                                       {"max-prefill-beside-decodes", "40"}}}) {
    Flags all = tight;
    all.insert(flags.begin(), flags.end());
    const std::unique_ptr<Engine> engine = StartEngine(all);
    ASSERT_NE(engine, nullptr);
    Soak(*engine, known, soak_seed).Run(num_requests / 2);
    std::printf("%.1f s\n", seconds());
    EXPECT_GT(Metric(*engine, "vllm:num_preemptions_total"), num_requests / 50);
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    constexpr std::string_view kRequests = "--requests=", kSeed = "--seed=";
    if (arg.starts_with(kRequests)) {
      keel::num_requests = std::atoi(arg.substr(kRequests.size()).data());
    } else if (arg.starts_with(kSeed)) {
      keel::soak_seed = std::strtoull(arg.substr(kSeed.size()).data(), nullptr, 10);
    } else {
      std::fprintf(stderr, "unknown argument %s, expected --requests=N or --seed=N\n", argv[i]);
      return 1;
    }
  }
  return RUN_ALL_TESTS();
}
