// Group N: a model with random weights, run in several ways that must agree.
#include "core/conformance/numeric_checks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/status.h"
#include "core/conformance/random_model.h"
#include "core/conformance/subject.h"
#include "core/exec/executor.h"
#include "core/graph/stages.h"

namespace keel::conformance {
namespace {

constexpr int32_t kLength = 24, kBlockSize = 4, kBlocks = 32;
constexpr double kTolerance = 1e-4;  // of the largest logit, in f32

// The model of a config with random weights on disk.
struct NumericModel {
  Stages stages;
  LiveModel live;
  PluginKernels kernels;
  AttentionRegistry attention;  // the host's and the plugin's own
  std::unique_ptr<RandomModel> random;
};

struct Way {
  ExecMode mode = ExecMode::kGraph;
  int ranks = 1, stages = 1;
  std::vector<int32_t> steps = {kLength};  // tokens of each step
  bool in_company = false;                 // with another sequence before it in each step
};

// Of each token: its logits, or its vector where the model has a function that gives those.
absl::StatusOr<at::Tensor> Logits(const NumericModel& model, const Way& way) {
  ExecutorOptions options;
  options.mode = way.mode;
  options.block_size = kBlockSize;
  options.tensor_parallel = way.ranks;
  options.pipeline_parallel = way.stages;
  options.live = model.live;
  options.kernels = model.kernels;
  const proto::Graph& graph = model.random->graph();
  options.pooling = FindFunction(graph, "pool") != nullptr;
  KEEL_ASSIGN_OR_RETURN(
      auto executor, Executor::Create(graph, model.random->checkpoint(), model.attention, options));
  const size_t groups = executor->cache_layout().groups.size();
  KEEL_RETURN_IF_ERROR(executor->AllocateCache(std::vector<int32_t>(groups, kBlocks), 2));
  // Blocks in no order, and none of one sequence beside the other's.
  std::vector<int32_t> mine, others;
  for (int32_t i = 0; i < kLength / kBlockSize; ++i) {
    mine.push_back((kBlocks - 1 - 5 * i) % kBlocks);
    others.push_back(mine.back() ^ 1);
  }
  const int64_t vocab = graph.spec().vocab_size();
  std::vector<at::Tensor> logits;
  int32_t done = 0;
  for (const int32_t tokens : way.steps) {
    Batch batch;
    const auto add = [&](int32_t multiplier, int32_t slot, const std::vector<int32_t>& blocks,
                         bool wants_logits) {
      for (int32_t t = 0; t < tokens; ++t) {
        const auto row = static_cast<int32_t>(batch.token_ids.size());
        if (wants_logits && options.pooling) batch.pooled.push_back({row, 1});
        if (wants_logits && !options.pooling) batch.logit_rows.push_back(row);
        batch.token_ids.push_back(
            static_cast<int32_t>((multiplier * (done + t + 1) + slot) % vocab));
      }
      batch.sequences.push_back({done, tokens, slot, std::vector(groups, blocks)});
    };
    if (way.in_company) add(11, 1, others, false);
    add(7, 0, mine, true);
    KEEL_ASSIGN_OR_RETURN(const at::Tensor out, executor->Step(batch));
    logits.push_back(out.clone());
    done += tokens;
  }
  return at::cat(logits);
}

Finding Compare(const at::Tensor& a, const absl::StatusOr<at::Tensor>& b, absl::string_view what) {
  if (!b.ok() && absl::IsUnimplemented(b.status())) return Skip(std::string(b.status().message()));
  if (!b.ok()) return Fail(absl::StrCat(what, ": ", b.status().message()));
  const double apart = at::abs(a - *b).max().item<double>();
  const double largest = at::abs(a).max().item<double>();
  if (apart <= kTolerance * largest) return Pass();
  return Fail(absl::StrCat(what, ": logits are ", apart, " apart, the largest is ", largest));
}

// Whether each of `others` gives what one step of the recorded graph gives.
Finding Agrees(const Subject& subject, const std::vector<Way>& others, absl::string_view what) {
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    NumericModel numeric;
    numeric.stages = Record(model);
    if (!numeric.stages.status().ok()) return Skip(std::string(numeric.stages.status().message()));
    const proto::Graph& graph = numeric.stages.model.graph;
    auto random = RandomModel::Create(graph, subject.seed);
    if (!random.ok()) return Skip(std::string(random.status().message()));
    numeric.random = *std::move(random);
    numeric.live = {model.source.model_class, numeric.stages.model.model.get(), model.source.call};
    numeric.kernels = model.source.kernels;
    const Finding registered = RegisterAttention(model, numeric.attention);
    if (registered.outcome != Outcome::kPass) return registered;
    const absl::StatusOr<at::Tensor> expected = Logits(numeric, {});
    if (!expected.ok()) return Skip(std::string(expected.status().message()));
    if (!at::isfinite(*expected).all().item<bool>()) return Fail("logits are not finite");
    int ways = 0;
    for (const Way& way : others) {
      if (way.steps.size() > 1 && SeesAhead(graph)) continue;
      ++ways;
      const absl::StatusOr<at::Tensor> logits = Logits(numeric, way);
      if (way.ranks > 1 && absl::StrContains(logits.status().message(), "don't divide")) {
        return Skip(std::string(logits.status().message()));
      }
      const Finding finding = Compare(*expected, logits, what);
      if (finding.outcome != Outcome::kPass) return finding;
    }
    if (ways == 0) return Skip("its tokens see those that follow: a text is computed in one step");
    return Pass();
  });
}

std::vector<int32_t> Steps(int32_t tokens) {
  std::vector<int32_t> steps(kLength / tokens, tokens);
  if (kLength % tokens != 0) steps.push_back(kLength % tokens);
  return steps;
}

}  // namespace

Finding RegisterAttention(const ModelUnderTest& model, AttentionRegistry& registry) {
  for (const keel_attention_class* attention : model.plugin->classes().attention) {
    const absl::Status status =
        registry.RegisterPlugin(attention, model.plugin->self(), model.source.call);
    if (!status.ok()) return Fail(std::string(status.message()));
  }
  return Pass();
}

Finding CheckEagerRun(const Subject& subject) {
  return Agrees(subject, {{.mode = ExecMode::kEager}, {.mode = ExecMode::kShadow}}, "op by op");
}

Finding CheckChunks(const Subject& subject) {
  return Agrees(subject, {{.steps = Steps(1)}, {.steps = Steps(7)}, {.steps = {kLength - 1, 1}}},
                "in several steps");
}

Finding CheckBatches(const Subject& subject) {
  return Agrees(subject, {{.in_company = true}, {.steps = Steps(5), .in_company = true}},
                "beside another sequence");
}

Finding CheckTwoRanks(const Subject& subject) {
  return Agrees(subject, {{.ranks = 2}}, "on two ranks");
}

Finding CheckTwoStages(const Subject& subject) {
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.status().ok()) return Skip(std::string(stages.status().message()));
    // Without a plan, or with one layer, it does not claim to be divisible.
    const proto::ModelSpec& spec = stages.model.graph.spec();
    if (spec.pp_plan().empty() || spec.num_layers() < 2) return Pass();
    Subject one = subject;
    one.configs = {model.dir.empty() ? model.where : model.dir};
    return Agrees(one, {{.stages = 2}}, "in two stages");
  });
}

}  // namespace keel::conformance
