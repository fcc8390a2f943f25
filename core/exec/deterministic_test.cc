// ExecutorOptions::deterministic: a sequence's logits have the same bits whatever its steps hold.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/graph/testing.h"
#include "core/kernels/parallel.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int32_t kBlockSize = 4, kBlocks = 256, kLength = 50;

// tiny: Llama-shaped. bloom: LayerNorm, GELU, biases, ALiBi. gemma3: windows, RMSNorm with the cast
// last, tanh's GELU. qwen3_moe: experts, norms of heads.
// longrope, dynamic: tiny, of rope that goes by the length of the text, beyond kTrained.
constexpr const char* kModels[] = {"tiny", "longrope", "dynamic", "bloom", "gemma3", "qwen3_moe"};
constexpr int64_t kTrained = 20;

proto::Graph WithLongRope(proto::Graph graph, bool dynamic) {
  for (proto::Declaration& declaration : *graph.mutable_declarations()) {
    if (!declaration.has_rope()) continue;
    proto::Rope& rope = *declaration.mutable_rope();
    rope.set_original_max_positions(kTrained);
    if (dynamic) rope.set_dynamic_factor(2);
    for (const double f : rope.inv_freq()) {
      if (!dynamic) rope.add_long_inv_freq(f / 3);
    }
  }
  return graph;
}

proto::Graph GraphOf(const std::string& model) {
  const proto::Graph tiny = testing::RecordTinyModel()->graph;
  if (model == "tiny") return tiny;
  if (model == "longrope" || model == "dynamic") return WithLongRope(tiny, model == "dynamic");
  proto::Graph graph;
  const char* variant = model == "bloom" ? "default" : "old_keys";
  const auto text =
      ReadFile(absl::StrCat("plugins/", model, "/testdata/", variant, "/graph.textproto"));
  EXPECT_TRUE(text.ok() && google::protobuf::TextFormat::ParseFromString(*text, &graph)) << model;
  return graph;
}

struct Model {
  proto::Graph graph;
  testing::ScratchDir dir;
  std::shared_ptr<const Checkpoint> checkpoint;
  AttentionRegistry registry;

  explicit Model(const std::string& name) : graph(GraphOf(name)) {
    auto written = testing::WriteCheckpoint(dir.path(), testing::RandomTensors(graph, 3));
    EXPECT_TRUE(written.ok()) << written.status();
    checkpoint = *std::move(written);
  }

  absl::StatusOr<std::unique_ptr<Executor>> Load(ExecutorOptions options) const {
    options.block_size = kBlockSize;
    auto executor = Executor::Create(graph, checkpoint, registry, options);
    if (!executor.ok()) return executor;
    const std::vector<int32_t> num_blocks((*executor)->cache_layout().groups.size(), kBlocks);
    const absl::Status status = (*executor)->AllocateCache(num_blocks, 0);
    if (!status.ok()) return status;
    return executor;
  }
};

struct Text {
  std::vector<int32_t> ids, blocks;
  int32_t done = 0;
};

// Texts whose blocks are scattered over the cache; the first is always the same.
std::vector<Text> Texts(int companions, int64_t vocab_size, std::mt19937& random) {
  std::vector<int32_t> free(kBlocks);
  for (int32_t i = 0; i < kBlocks; ++i) free[i] = i;
  std::shuffle(free.begin(), free.end(), random);
  std::mt19937 first(7);
  std::vector<Text> texts(companions + 1);
  for (Text& text : texts) {
    std::mt19937& source = &text == texts.data() ? first : random;
    const int32_t length = &text == texts.data() ? kLength : 1 + random() % 30;
    for (int32_t i = 0; i < length; ++i) {
      text.ids.push_back(static_cast<int32_t>(source() % vocab_size));
    }
    for (int32_t i = 0; i < length; i += kBlockSize) {
      text.blocks.push_back(free.back());
      free.pop_back();
    }
  }
  return texts;
}

struct Steps {
  const char* name;
  int32_t largest_chunk;  // of the first text; 0: all at once
  int companions;  // texts beside it, in chunks of random sizes, again from the start when done
};

constexpr Steps kWholeAndAlone = {"whole, alone", 0, 0};
constexpr Steps kOthers[] = {
    {"in chunks, alone", 20, 0},  {"by token, alone", 1, 0},      {"whole, beside 1", 0, 1},
    {"whole, beside 17", 0, 17},  {"in chunks, beside 4", 20, 4}, {"in chunks, beside 17", 9, 17},
    {"by token, beside 2", 1, 2}, {"by token, beside 9", 1, 9},
};

// The first text's logits, [kLength, vocab].
absl::StatusOr<at::Tensor> Logits(Executor& executor, int64_t vocab_size, const Steps& steps,
                                  int seed) {
  std::mt19937 random(seed);
  std::vector<Text> texts = Texts(steps.companions, vocab_size, random);
  std::vector<at::Tensor> logits;
  const size_t groups = executor.cache_layout().groups.size();
  while (texts[0].done < kLength) {
    std::vector<size_t> order(texts.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    Batch batch;
    for (const size_t i : order) {
      Text& text = texts[i];
      const int32_t left = static_cast<int32_t>(text.ids.size()) - text.done;
      const int32_t largest = i > 0 ? 12 : steps.largest_chunk == 0 ? left : steps.largest_chunk;
      const bool drawn = i > 0 || (largest > 1 && steps.largest_chunk > 0);
      const int32_t tokens =
          std::min(left, drawn ? 1 + static_cast<int32_t>(random() % largest) : largest);
      for (int32_t t = 0; t < tokens; ++t) {
        // Of its companions only some rows get logits, so that theirs differ in number too.
        if (i == 0 || random() % 4 == 0) {
          batch.logit_rows.push_back(static_cast<int32_t>(batch.token_ids.size()));
        }
        batch.token_ids.push_back(text.ids[text.done + t]);
      }
      batch.sequences.push_back({text.done, tokens, -1, std::vector(groups, text.blocks),
                                 static_cast<int32_t>(text.ids.size())});
      text.done += tokens;
    }
    const absl::StatusOr<at::Tensor> out = executor.Step(batch);
    if (!out.ok()) return out.status();
    // The first text's rows among those with logits.
    size_t begin = 0, place = 0;
    while (order[place] != 0) begin += batch.sequences[place++].num_tokens;
    const int32_t tokens = batch.sequences[place].num_tokens;
    const auto row = std::find(batch.logit_rows.begin(), batch.logit_rows.end(), begin);
    logits.push_back(out->narrow(0, row - batch.logit_rows.begin(), tokens).clone());
    for (size_t i = 1; i < texts.size(); ++i) {
      if (texts[i].done == static_cast<int32_t>(texts[i].ids.size())) texts[i].done = 0;
    }
  }
  return at::cat(logits);
}

bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.is_contiguous() && b.is_contiguous() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

class EveryModel : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Deterministic, EveryModel, ::testing::ValuesIn(kModels),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(EveryModel, GivesATokenTheSameBitsInAnySteps) {
  const Model model(GetParam());
  const int64_t vocab = model.graph.spec().vocab_size();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    KEEL_ASSERT_OK_AND_ASSIGN(auto executor, model.Load({.dtype = dtype, .deterministic = true}));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor expected,
                              Logits(*executor, vocab, kWholeAndAlone, 0));
    for (const Steps& steps : kOthers) {
      for (int seed = 1; seed <= 2; ++seed) {
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, Logits(*executor, vocab, steps, seed));
        EXPECT_TRUE(SameBits(logits, expected))
            << TorchName(dtype) << ", " << steps.name << ", seed " << seed << ": "
            << (logits - expected).abs().max().item<double>() << " apart";
      }
    }
  }
}

TEST_P(EveryModel, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Model model(GetParam());
  const int64_t vocab = model.graph.spec().vocab_size();
  std::vector<at::Tensor> logits;
  for (const int n : {1, 2, 3}) {
    ThreadPool pool({n});
    const ScopedThreadPool scope(pool);
    KEEL_ASSERT_OK_AND_ASSIGN(auto executor, model.Load({.deterministic = true}));
    KEEL_ASSERT_OK_AND_ASSIGN(logits.emplace_back(), Logits(*executor, vocab, kOthers[3], 1));
  }
  EXPECT_TRUE(SameBits(logits[0], logits[1]));
  EXPECT_TRUE(SameBits(logits[0], logits[2]));
}

TEST(DeterministicTest, TwoRanksGiveTheSameBitsInAnySteps) {
  const Model model("tiny");
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor,
                            model.Load({.tensor_parallel = 2, .deterministic = true}));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor expected, Logits(*executor, 128, kWholeAndAlone, 0));
  for (const Steps& steps : kOthers) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, Logits(*executor, 128, steps, 1));
    EXPECT_TRUE(SameBits(logits, expected)) << steps.name;
  }
}

TEST(DeterministicTest, IsNearWhatTheFastestWayGives) {
  for (const char* name : kModels) {
    const Model model(name);
    const int64_t vocab = model.graph.spec().vocab_size();
    KEEL_ASSERT_OK_AND_ASSIGN(auto fast, model.Load({}));
    KEEL_ASSERT_OK_AND_ASSIGN(auto invariant, model.Load({.deterministic = true}));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor a, Logits(*fast, vocab, kWholeAndAlone, 0));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor b, Logits(*invariant, vocab, kWholeAndAlone, 0));
    EXPECT_LE((a - b).abs().max().item<double>(), 1e-4 * a.abs().max().item<double>()) << name;
  }
}

// What the option is for: an attention that it refuses goes by the shape of the step.
TEST(DeterministicTest, WithoutItStepsShowInTheBits) {
  const Model model("tiny");
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    KEEL_ASSERT_OK_AND_ASSIGN(auto executor, model.Load({.dtype = dtype, .attention = "sdpa"}));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor whole, Logits(*executor, 128, kWholeAndAlone, 0));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor by_token, Logits(*executor, 128, kOthers[1], 0));
    EXPECT_FALSE(SameBits(whole, by_token)) << TorchName(dtype);
  }
}

TEST(DeterministicTest, AttentionsThatAreNotInvariantAreRefusedByName) {
  const Model model("tiny");
  for (const char* name : {"sdpa", "eager"}) {
    EXPECT_THAT(model.Load({.attention = name, .deterministic = true}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("\"", name, "\"")), HasSubstr("paged"))));
  }
  KEEL_EXPECT_OK(model.Load({.attention = "paged", .deterministic = true}).status());
  EXPECT_THAT(model.Load({.attention = "flash", .deterministic = true}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("eager, paged, sdpa")));
}

}  // namespace
}  // namespace keel
