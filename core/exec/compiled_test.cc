// A compiled step gives the bits of the interpreter's, for every op that a graph may hold, whether linears are packed
// or not, in steps of prompts and of single tokens, on one rank and on several.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/exec/executor.h"
#include "core/exec/tiny_executor.h"
#include "core/graph/op_samples.h"
#include "core/graph/tp_samples.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Difference;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyExecutors;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Compiled : public TinyExecutors {
 public:
  using TinyExecutors::TinyExecutors;

  // Of all tokens of two sequences: a prompt of nine in two chunks, one of five beside the second chunk, then a token
  // of each. `last`: of the last token of each chunk alone. In both chunks are groups, which a model may take.
  absl::StatusOr<at::Tensor> Logits(const ExecutorOptions& options, bool last = false) const {
    auto executor = Load(options);
    if (!executor.ok()) return executor.status();
    const size_t groups = (*executor)->cache_layout().groups.size();
    const std::vector<int32_t> num_blocks(groups, 8);
    if (absl::Status status = (*executor)->AllocateCache(num_blocks, 2); !status.ok())
      return status;
    const std::vector<std::vector<int32_t>> a(groups, {6, 2, 4}), b(groups, {1, 5});
    std::vector<Batch> steps = {
        {{3, 1, 4}, {{0, 3, 0, a}}, {0, 1, 2}},
        {{1, 5, 9, 2, 6, 5, 7, 4, 8, 3, 1}, {{3, 6, 0, a}, {0, 5, 1, b}}, {}},
        {{2, 6}, {{9, 1, 0, a}, {5, 1, 1, b}}, {0, 1}}};
    for (int32_t row = 0; row < 11; ++row)
      if (!last || row == 5 || row == 10) steps[1].logit_rows.push_back(row);
    steps[1].groups = {-1, 2, 2, 2, -1, -1, 0, 0, -1, 1, 1};
    if (last) steps[0].logit_rows.clear();  // a chunk that nobody wants logits of
    std::vector<at::Tensor> logits;
    for (const Batch& step : steps) {
      auto of_step = (*executor)->Step(step);
      if (!of_step.ok()) return of_step.status();
      logits.push_back(of_step->clone());
    }
    return at::cat(logits);
  }
};

// Kernels of linears may go by the number of rows, which gathering early changes.
const std::vector<std::string> kKeepsRows = {"gather-early"};

void ExpectTheInterpretersBits(const TinyModel& tiny, int ranks = 1, int stages = 1) {
  const Compiled model(tiny);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const bool pack : {false, true}) {
      ExecutorOptions options;
      options.mode = ExecMode::kGraph;
      options.dtype = dtype;
      options.pack = pack;
      options.tensor_parallel = ranks;
      options.pipeline_parallel = stages;
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor graph, model.Logits(options));
      options.mode = ExecMode::kCompiled;
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor gathered, model.Logits(options));
      options.disabled_passes = kKeepsRows;
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor compiled, model.Logits(options));
      const std::string what =
          absl::StrCat(TorchName(dtype), pack ? ", packed" : "", ", ", ranks, " ranks");
      EXPECT_TRUE(compiled.equal(graph)) << what << ": " << Difference(compiled, graph);
      EXPECT_LE(Difference(gathered, graph), dtype == DType::kF32 ? 1e-4 : 4e-2) << what;
    }
  }
}

TEST(CompiledTest, EveryOpGivesTheInterpretersBits) {
  for (const testing::OpSample& sample : testing::OpSamples()) {
    SCOPED_TRACE(sample.name);
    ExpectTheInterpretersBits(sample.model);
  }
}

TEST(CompiledTest, RanksGiveTheInterpretersBits) {
  for (const testing::TpSample& sample : testing::TpSamples()) {
    SCOPED_TRACE(sample.name);
    ExpectTheInterpretersBits(sample.model, /*ranks=*/2);
  }
}

TEST(CompiledTest, StagesGiveTheInterpretersBits) {
  TinyModel tiny;
  tiny.pp_plan = testing::LlamasPpPlan();
  ExpectTheInterpretersBits(tiny, /*ranks=*/1, /*stages=*/2);
  ExpectTheInterpretersBits(tiny, /*ranks=*/2, /*stages=*/2);
}

TinyModel TakesGroups() {
  TinyModel tiny;
  tiny.pp_plan = testing::LlamasPpPlan();
  tiny.groups = [](keel_run*, keel_tensor input) { return input; };
  return tiny;
}

TEST(CompiledTest, GroupsGiveTheInterpretersBits) {
  ExpectTheInterpretersBits(TakesGroups());
  ExpectTheInterpretersBits(TakesGroups(), /*ranks=*/2, /*stages=*/2);
}

TEST(CompiledTest, TokensOfAGroupSeeEachOtherAndNobodyElse) {
  const Compiled model(TakesGroups());
  TinyModel causal = TakesGroups();
  causal.groups = nullptr;
  ExecutorOptions options;
  options.mode = ExecMode::kGraph;
  for (const char* attention : {"paged", "sdpa", "eager"}) {
    SCOPED_TRACE(attention);
    options.attention = attention;
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor grouped, model.Logits(options));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor plain, Compiled(causal).Logits(options));
    // Rows of both chunks come first. A token behind a group sees keys that are not what they were.
    const bool differs[] = {false, false, false, false, true, true, true, true,
                            true,  true,  true,  true,  true, true, true, true};
    for (int64_t row = 0; row < grouped.size(0); ++row) {
      EXPECT_EQ(Difference(grouped[row], plain[row]) > 1e-3, differs[row]) << row;
    }
  }
}

TEST(CompiledTest, EveryPassMayBeLeftOut) {
  const Compiled model(TinyModel{});
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor graph, model.Logits({.mode = ExecMode::kGraph}));
  for (const char* pass :
       {"fold-constants", "group-linears", "fuse-residual", "fuse-add-norm", "fuse-act-mul",
        "split-mixtures", "paged-attention", "fuse-rope-write", "remove-dead"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits,
                              model.Logits({.disabled_passes = {"gather-early", pass}}));
    EXPECT_TRUE(logits.equal(graph)) << pass;
  }
  for (const ExecMode mode : {ExecMode::kCompiled, ExecMode::kGraph}) {
    EXPECT_THAT(model.Load({.mode = mode, .disabled_passes = {"fuse-everything"}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("fuse-everything"), HasSubstr("group-linears"))));
  }
}

TEST(CompiledTest, LogitsOfFewTokensAreThoseOfTheSameTokensAmongAll) {
  const Compiled model(TinyModel{});
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor some, model.Logits({}, /*last=*/true));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor all, model.Logits({}));
  ASSERT_EQ(some.size(0), 4);
  const int64_t rows[] = {3 + 5, 3 + 10, 14, 15};
  for (int64_t i = 0; i < 4; ++i) EXPECT_LE(Difference(some[i], all[rows[i]]), 1e-5);
}

TEST(CompiledTest, DeterministicRunsAreTheInterpreters) {
  const Compiled model(TinyModel{});
  KEEL_ASSERT_OK_AND_ASSIGN(const auto executor,
                            model.Load({.print_graph = true, .deterministic = true}));
  EXPECT_THAT(executor->report().graphs,
              ::testing::ElementsAre(
                  AllOf(HasSubstr("nothing is compiled"), HasSubstr("--deterministic"))));
}

TEST(CompiledTest, TheGraphIsShownBeforeAndAfterThePasses) {
  const Compiled model(TinyModel{});
  KEEL_ASSERT_OK_AND_ASSIGN(const auto executor, model.Load({.print_graph = true}));
  ASSERT_EQ(executor->report().graphs.size(), 1u);
  const std::string& text = executor->report().graphs[0];
  const std::string before = text.substr(0, text.find("as run:")),
                    after = text.substr(before.size());
  EXPECT_THAT(before, AllOf(HasSubstr("attention model.layers.0.self_attn"),
                            HasSubstr("linears model.layers.0.self_attn.q_proj ("),
                            Not(HasSubstr("rope_write"))));
  EXPECT_THAT(after, AllOf(HasSubstr("linears model.layers.0.self_attn.q_proj, "
                                     "model.layers.0.self_attn.k_proj, "
                                     "model.layers.0.self_attn.v_proj (%"),
                           HasSubstr("rope_write model.layers.0.self_attn ("),
                           HasSubstr("attend model.layers.0.self_attn ("),
                           Not(HasSubstr("= rope ")), Not(HasSubstr("= add "))));
}

TEST(CompiledTest, MixturesOfPackedExpertsAreCallsOfKernels) {
  for (const testing::OpSample& sample : testing::OpSamples()) {
    if (sample.name != std::string("moe") && sample.name != std::string("moe_routed")) continue;
    const Compiled model(sample.model);
    for (const bool pack : {true, false}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const auto executor,
                                model.Load({.print_graph = true, .pack = pack}));
      const std::string& text = executor->report().graphs[0];
      const std::string after = text.substr(text.find("as run:"));
      EXPECT_EQ(after.find("= experts moe (") != std::string::npos, pack) << sample.name;
      EXPECT_EQ(after.find("= moe") == std::string::npos, pack) << after;
    }
  }
}

}  // namespace
}  // namespace keel
