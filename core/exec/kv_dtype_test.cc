// ExecutorOptions::kv_dtype: what a cache of fewer bits costs, and that nothing else changes with it: compiled steps and
// the interpreter, ranks and stages, whole prompts, chunks and batches, copied blocks.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/exec/tiny_executor.h"
#include "core/graph/tp_samples.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Difference;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyExecutors;
using ::keel::testing::TinyModel;
using ::testing::HasSubstr;

constexpr DType kKept[] = {DType::kBF16, DType::kF8E4M3FN, DType::kI8};

// Latent attention, and windows beside full attention.
constexpr const char* kFamilies[] = {"deepseek_v3", "gemma3"};

// Executors of a family's recorded graph with random weights.
class Family {
 public:
  explicit Family(const std::string& name) {
    const auto text =
        ReadFile(absl::StrCat("plugins/", name, "/testdata/",
                              name == "gemma3" ? "old_keys" : "default", "/graph.textproto"));
    EXPECT_TRUE(text.ok() && google::protobuf::TextFormat::ParseFromString(*text, &graph_)) << name;
    auto written = testing::WriteCheckpoint(dir_.path(), testing::RandomTensors(graph_, 3));
    EXPECT_TRUE(written.ok()) << written.status();
    checkpoint_ = *std::move(written);
  }
  absl::StatusOr<std::unique_ptr<Executor>> Load(ExecutorOptions options) const {
    options.block_size = 4;
    return Executor::Create(graph_, checkpoint_, registry_, options);
  }

 private:
  proto::Graph graph_;
  testing::ScratchDir dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  AttentionRegistry registry_;
};

TinyModel Tiny() {
  TinyModel tiny;
  tiny.pp_plan = testing::LlamasPpPlan();
  return tiny;
}

ExecutorOptions Options(DType dtype, DType kept, ExecMode mode = ExecMode::kCompiled) {
  ExecutorOptions options;
  options.mode = mode;
  options.dtype = dtype;
  options.kv_dtype = kept;
  options.disabled_passes = {"gather-early"};  // it changes how many rows linears take
  return options;
}

// How the eleven tokens of a text are cut into steps, and whether another text runs beside it.
struct Cut {
  std::vector<int32_t> chunks;
  bool beside = false;
};
const Cut kWhole = {{11}};

// Of all tokens of the text.
absl::StatusOr<at::Tensor> Logits(Executor& executor, const Cut& cut) {
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  const size_t groups = executor.cache_layout().groups.size();
  const absl::Status status = executor.AllocateCache(std::vector<int32_t>(groups, 8), 2);
  if (!status.ok()) return status;
  const std::vector<std::vector<int32_t>> own(groups, {6, 2, 4}), other(groups, {1, 5, 7});
  std::vector<at::Tensor> logits;
  int32_t done = 0, done_beside = 0;
  for (const int32_t chunk : cut.chunks) {
    Batch batch;
    if (cut.beside) {
      batch.token_ids = {7, 8};
      batch.sequences.push_back({done_beside, 2, 1, other});
      done_beside += 2;
    }
    for (int32_t i = 0; i < chunk; ++i) {
      batch.logit_rows.push_back(static_cast<int32_t>(batch.token_ids.size()));
      batch.token_ids.push_back(ids[done + i]);
    }
    batch.sequences.push_back({done, chunk, 0, own});
    done += chunk;
    auto of_step = executor.Step(batch);
    if (!of_step.ok()) return of_step.status();
    logits.push_back(of_step->clone());
  }
  return at::cat(logits);
}

template <typename Model>
absl::StatusOr<at::Tensor> Logits(const Model& model, const ExecutorOptions& options,
                                  const Cut& cut = kWhole) {
  auto executor = model.Load(options);
  if (!executor.ok()) return executor.status();
  return Logits(**executor, cut);
}

std::string Name(DType dtype, DType kept) {
  return absl::StrCat(TorchName(kept), " of ", TorchName(dtype));
}

TEST(KvDtypeTest, CompiledStepsGiveTheInterpretersBits) {
  const TinyExecutors model(Tiny());
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const DType kept : kKept) {
      for (const Cut& cut : {kWhole, Cut{{5, 1, 5}, true}}) {
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor graph,
                                  Logits(model, Options(dtype, kept, ExecMode::kGraph), cut));
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor compiled,
                                  Logits(model, Options(dtype, kept), cut));
        EXPECT_TRUE(compiled.equal(graph)) << Name(dtype, kept);
        ExecutorOptions apart = Options(dtype, kept);
        apart.disabled_passes.push_back("fuse-rope-write");
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor unfused, Logits(model, apart, cut));
        EXPECT_TRUE(unfused.equal(graph)) << Name(dtype, kept);
      }
    }
  }
}

// Where sums are rounded in another order, some numbers fall to the next code: that costs less than all codes do.
TEST(KvDtypeTest, RanksAndStagesGiveWhatOneRankGives) {
  const TinyExecutors model(Tiny());
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor exact,
                            Logits(model, Options(DType::kF32, DType::kF32)));
  for (const DType kept : kKept) {
    ExecutorOptions options = Options(DType::kF32, kept);
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor one, Logits(model, options));
    options.pipeline_parallel = 2;
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor stages, Logits(model, options));
    EXPECT_TRUE(stages.equal(one)) << TorchName(kept);
    options.tensor_parallel = 2;
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor ranks, Logits(model, options));
    EXPECT_LE(Difference(ranks, one), Difference(one, exact)) << TorchName(kept);
  }
}

TEST(KvDtypeTest, DeterministicStepsGiveTheSameBitsHoweverAPromptIsCut) {
  const TinyExecutors model(Tiny());
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const DType kept : kKept) {
      ExecutorOptions options = Options(dtype, kept);
      options.deterministic = true;
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor whole, Logits(model, options));
      for (const Cut& cut : {Cut{{4, 7}}, Cut{{1, 1, 9}}, Cut{{11}, true}, Cut{{5, 1, 5}, true}}) {
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor cut_up, Logits(model, options, cut));
        EXPECT_TRUE(cut_up.equal(whole)) << Name(dtype, kept);
      }
    }
  }
}

// Errors of logits are to the first order as those of rows. bf16 rounds a number by at most 2^-9 of it, e4m3 by 2^-4: 32
// times. int8 rounds by up to 1/254 of a row's largest number; in the root mean square that is 8 times bf16's for rows of
// normal numbers. Twice that is allowed: which error is the greatest is chance. Layers make ten of bf16's at most.
TEST(KvDtypeTest, CodesCostAsMuchAsTheirStepsAreWider) {
  const auto expect = [](const auto& model, const std::string& name) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor exact,
                              Logits(model, Options(DType::kF32, DType::kF32)));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor rounded,
                              Logits(model, Options(DType::kF32, DType::kBF16)));
    const double of_bf16 = Difference(rounded, exact);
    EXPECT_GT(of_bf16, 0) << name;
    EXPECT_LE(of_bf16, 10.0 / 512) << name;
    for (const auto& [kept, wider] : {std::pair(DType::kI8, 8), std::pair(DType::kF8E4M3FN, 32)}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, Logits(model, Options(DType::kF32, kept)));
      const double times = Difference(logits, exact) / of_bf16;
      EXPECT_LE(times, 2 * wider) << name << " " << TorchName(kept) << ", bf16 " << of_bf16;
      EXPECT_GE(times, 1) << name << " " << TorchName(kept) << ", bf16 " << of_bf16;
    }
  };
  expect(TinyExecutors(Tiny()), "tiny");
  for (const char* family : kFamilies) expect(Family(family), family);
}

TEST(KvDtypeTest, EveryImplementationOfTheHostReadsIt) {
  for (const DType kept : kKept) {
    const Family latent("deepseek_v3");
    const Family sinks("gpt_oss");  // beside windows
    const TinyExecutors tiny(Tiny());
    const auto expect = [&](const auto& model, const std::vector<std::string>& names) {
      ExecutorOptions options = Options(DType::kF32, kept);
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor exact,
                                Logits(model, Options(DType::kF32, DType::kF32)));
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor paged, Logits(model, options));
      for (const std::string& name : names) {
        options.attention = name;
        KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor other, Logits(model, options, {{5, 1, 5}}));
        EXPECT_LE(Difference(other, paged), Difference(paged, exact))
            << name << " " << TorchName(kept);
      }
    };
    expect(tiny, {"eager", "sdpa"});
    expect(latent, {"eager", "sdpa"});
    expect(sinks, {"eager"});
  }
}

TEST(KvDtypeTest, BlocksAreSmallerAndCopiedWithTheirScales) {
  const TinyExecutors model(Tiny());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto plain, model.Load(Options(DType::kBF16, DType::kBF16)));
  const int64_t bytes = plain->cache_layout().groups[0].block_bytes;
  for (const DType kept : {DType::kF8E4M3FN, DType::kI8}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto executor, model.Load(Options(DType::kBF16, kept)));
    // Heads of 16 elements: 16 bytes and a scale instead of 32.
    EXPECT_EQ(executor->cache_layout().groups[0].block_bytes, bytes * 20 / 32);
    KEEL_ASSERT_OK(executor->AllocateCache({8}, 0));
    KEEL_ASSERT_OK(executor->Step({{3, 1, 4, 1, 5}, {{0, 5, 0, {{6, 2}}}}, {4}}).status());
    KEEL_ASSERT_OK(executor->Do({.blocks = {{0, 6, 3}, {0, 2, 7}}, .states = {}}));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor own,
                              executor->Step({{9}, {{5, 1, 0, {{6, 2}}}}, {0}}));
    const at::Tensor expected = own.clone();
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor copied,
                              executor->Step({{9}, {{5, 1, 0, {{3, 7}}}}, {0}}));
    EXPECT_TRUE(copied.equal(expected)) << TorchName(kept);
  }
}

TEST(KvDtypeTest, ATypeThatNoCacheHasIsRefused) {
  const TinyExecutors model(Tiny());
  const absl::Status status = model.Load(Options(DType::kF32, DType::kF8E5M2)).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("no KV cache of type float8_e5m2")));
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFlag), "kv-cache-dtype");
}

}  // namespace
}  // namespace keel
