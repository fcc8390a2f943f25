#include "core/exec/executor.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/compile/pass.h"
#include "core/exec/encoder.h"
#include "core/exec/rank.h"
#include "core/exec/rank_threads.h"
#include "core/exec/step.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/stages.h"
#include "core/kernels/aten_threads.h"
#include "core/kernels/parallel.h"
#include "core/ops/graph_attention.h"
#include "core/ops/ops.h"
#include "core/ops/plugin_kernel.h"
#include "core/ops/served.h"
#include "core/parallel/collectives.h"
#include "core/tensor/aten.h"
#include "core/weights/pack.h"
#include "core/weights/weights.h"

namespace keel {
namespace {

absl::Status CheckOptions(const ExecutorOptions& options) {
  if (options.dtype != DType::kF32 && options.dtype != DType::kBF16 &&
      options.dtype != DType::kF16) {
    return absl::InvalidArgumentError(absl::StrCat("no model runs in ", TorchName(options.dtype),
                                                   "; use float32, bfloat16 or float16"));
  }
  if (options.kv_dtype.has_value() && *options.kv_dtype != options.dtype) {
    const DType kept = *options.kv_dtype;
    if (kept != DType::kBF16 && kept != DType::kF8E4M3FN && kept != DType::kI8) {
      return WithFlag(absl::InvalidArgumentError(
                          absl::StrCat("no KV cache of type ", TorchName(kept), " for a model in ",
                                       TorchName(options.dtype), "; use auto, bf16, fp8 or int8")),
                      "kv-cache-dtype");
    }
  }
  if (options.tensor_parallel < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor parallelism is ", options.tensor_parallel, ", expected at least 1"));
  }
  if (options.pipeline_parallel < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pipeline parallelism is ", options.pipeline_parallel, ", expected at least 1"));
  }
  if (options.quantization != Quantization::kNone && options.deterministic) {
    return WithFlag(
        absl::InvalidArgumentError(
            "--quantize and --deterministic: no batch-invariant kernel reads quantized weights; "
            "leave one out"),
        "quantize");
  }
  KEEL_RETURN_IF_ERROR(WithFlag(ir::CheckPassNames(options.disabled_passes), "disable-pass"));
  if (!RunsPlugin(options.mode)) return absl::OkStatus();
  if (options.tensor_parallel > 1 || options.pipeline_parallel > 1) {
    return absl::InvalidArgumentError(
        "eager and shadow runs have one rank: sharding and cutting are transformations of the "
        "recorded graph");
  }
  if (options.live.model_class == nullptr) {
    return absl::InvalidArgumentError("eager and shadow runs need the plugin's live model");
  }
  return absl::OkStatus();
}

// What was chosen, and warnings about it, each once.
void Report(absl::Span<const AttentionChoice> choices, LoadReport* report) {
  std::vector<std::string>& all = report->warnings;
  for (const AttentionChoice& choice : choices) {
    if (choice.implementation == nullptr) continue;
    const AttentionInUse use{choice.name, choice.reason};
    if (std::find(report->attention.begin(), report->attention.end(), use) ==
        report->attention.end()) {
      report->attention.push_back(use);
    }
    if (!choice.warning.empty() && std::find(all.begin(), all.end(), choice.warning) == all.end())
      all.push_back(choice.warning);
  }
}

// By one rank: a tower is nobody's to divide (core/graph/sharding.cc).
class RankEncoding : public Encoding {
 public:
  RankEncoding(Rank& rank, Encoder::Run run) : rank_(rank), run_(std::move(run)) {}

  absl::StatusOr<FeatureList> Advance(absl::Duration limit) override {
    const ScopedSerialAten serial;
    c10::InferenceMode guard;
    return run_.Advance(rank_.ops(), limit);
  }

 private:
  Rank& rank_;
  Encoder::Run run_;
};

// Ranks in order of stage, those of one stage side by side.
class RankedExecutor : public Executor {
 public:
  // `cache` may be null; it may still be writing.
  RankedExecutor(std::vector<std::unique_ptr<Rank>> ranks, std::unique_ptr<WeightCache> cache,
                 int stages, int64_t vocab_size, int32_t block_size, LoadReport report)
      : Executor(std::move(report)),
        weight_cache_(std::move(cache)),
        ranks_(std::move(ranks)),
        stages_(stages),
        ranks_a_stage_(static_cast<int>(ranks_.size()) / stages) {
    limits_.vocab_size = vocab_size;
    limits_.block_size = block_size;
  }

  CacheLayout cache_layout() const override {
    CacheLayout layout;
    for (const KvCache::Group& group : ranks_[0]->ops().cache().groups())
      layout.groups.push_back({group.window, group.chunk, 0});
    for (const auto& rank : ranks_) {
      for (size_t g = 0; g < layout.groups.size(); ++g)
        layout.groups[g].block_bytes += rank->ops().cache().groups()[g].block_bytes;
      layout.state_bytes += rank->ops().states().slot_bytes();
    }
    return layout;
  }

  absl::Status AllocateCache(absl::Span<const int32_t> num_blocks,
                             int32_t num_state_slots) override {
    limits_.num_blocks.clear();
    limits_.num_state_slots = 0;
    for (const auto& rank : ranks_) {
      KEEL_RETURN_IF_ERROR(rank->ops().cache().Allocate(num_blocks));
      if (rank->ops().states().empty()) continue;
      KEEL_RETURN_IF_ERROR(rank->ops().states().Allocate(num_state_slots));
      limits_.num_state_slots = num_state_slots;
    }
    limits_.num_blocks.assign(num_blocks.begin(), num_blocks.end());
    has_cache_ = true;
    return absl::OkStatus();
  }

  absl::Status Do(const CacheWork& work) override {
    for (const auto& rank : ranks_) {
      for (const BlockCopy& copy : work.blocks)
        KEEL_RETURN_IF_ERROR(rank->ops().cache().CopyBlock(copy.group, copy.from, copy.to));
      RecurrentStates& states = rank->ops().states();
      if (states.empty()) continue;
      for (const StateCopy& copy : work.states) {
        KEEL_RETURN_IF_ERROR(copy.from < 0 ? states.Clear(copy.to)
                                           : states.Copy(copy.from, copy.to));
      }
    }
    return absl::OkStatus();
  }

  StepTimes step_times() const override {
    StepTimes all;
    for (const auto& rank : ranks_) all += rank->step_times();
    return all;
  }

  absl::StatusOr<at::Tensor> Step(const Batch& batch) override {
    if (!has_cache_) return absl::FailedPreconditionError("Step before AllocateCache");
    KEEL_RETURN_IF_ERROR(CheckBatch(batch, limits_));
    for (const BatchSequence& s : batch.sequences) {
      for (size_t g = 0; g < s.blocks.size(); ++g) {
        for (const auto& rank : ranks_) rank->ops().cache().Use(g, s.blocks[g].back());
      }
    }
    KEEL_ASSIGN_OR_RETURN(const StepTensors step,
                          CatchAten([&] { return MakeStep(batch, limits_); }));
    if (ranks_.size() == 1) {
      const ScopedSerialAten serial;
      c10::InferenceMode guard;
      return ranks_[0]->Step(step, {});
    }
    return StepOnThreads(step);
  }

  bool EncodesTogether(const std::string& modality) const override {
    const Encoder* encoder = ranks_[0]->FindEncoder(modality);
    return encoder != nullptr && encoder->merges();
  }

  absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding(
      const std::string& modality, absl::Span<const NamedTensors* const> items) override {
    const ScopedSerialAten serial;
    c10::InferenceMode guard;
    KEEL_ASSIGN_OR_RETURN(Encoder::Run run, ranks_[0]->StartEncoding(modality, items));
    return std::make_unique<RankEncoding>(*ranks_[0], std::move(run));
  }

 private:
  absl::StatusOr<at::Tensor> StepOnThreads(const StepTensors& step) {
    const int n = static_cast<int>(ranks_.size());
    // Fresh ones: after a step that failed, nobody waits in them.
    std::vector<std::vector<std::unique_ptr<Collectives>>> tensor, pipeline;
    for (int stage = 0; stage < stages_; ++stage)
      tensor.push_back(MakeThreadCollectives(ranks_a_stage_));
    for (int part = 0; part < ranks_a_stage_; ++part)
      pipeline.push_back(MakeThreadCollectives(stages_));
    std::vector<absl::StatusOr<at::Tensor>> results(n, absl::UnknownError("did not run"));
    ShareThreads();
    if (threads_ == nullptr) threads_ = std::make_unique<RankThreads>(n);
    threads_->Run([&](int i) {
      const int stage = i / ranks_a_stage_, part = i % ranks_a_stage_;
      const ScopedThreadPool scope(*pools_[part]);
      const ScopedSerialAten serial;
      c10::InferenceMode guard;
      const RankLinks links{tensor[stage][part].get(), pipeline[part][stage].get()};
      results[i] = ranks_[i]->Step(step, links);
      if (results[i].ok()) return;
      links.tensor->Abort(results[i].status());
      links.pipeline->Abort(results[i].status());
    });
    for (const auto& result : results) {
      if (!result.ok()) return result.status();
    }
    return results[n - ranks_a_stage_];  // the first rank of the last stage
  }

  // A pool for each rank of a stage, of its share of the caller's threads. Stages run one after the
  // other, so they share them.
  void ShareThreads() {
    const int share = std::max(1, ParallelThreads() / ranks_a_stage_);
    if (!pools_.empty() && pools_[0]->threads() == share) return;
    pools_.clear();
    for (int part = 0; part < ranks_a_stage_; ++part)
      pools_.push_back(std::make_unique<ThreadPool>(ThreadPool::Options{.threads = share}));
  }

  const std::unique_ptr<WeightCache> weight_cache_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  const int stages_, ranks_a_stage_;
  std::vector<std::unique_ptr<ThreadPool>> pools_;
  std::unique_ptr<RankThreads> threads_;
  BatchLimits limits_;
  bool has_cache_ = false;  // an encoder's is empty
};

// What the ranks of one stage run, and with which attentions.
struct StagePlan {
  RankGraph sharded;
  std::vector<AttentionChoice> attention;
};

// Weights of other stages' objects are not held.
void DropUnused(RankGraph& stage) {
  const std::vector<bool> used = UsedObjects(stage.graph);
  for (size_t i = 0; i < used.size(); ++i)
    if (!used[i]) stage.weights[i].kind = WeightSplit::kNone;
}

absl::StatusOr<std::vector<StagePlan>> PlanStages(const proto::Graph& graph,
                                                  const AttentionRegistry& registry,
                                                  const ExecutorOptions& options) {
  KEEL_RETURN_IF_ERROR(CheckPpPlan(graph));
  KEEL_ASSIGN_OR_RETURN(const std::vector<proto::Graph> stages,
                        CutStages(graph, options.pipeline_parallel));
  const AttentionWish wish{options.attention, graph.spec().attn_implementation(),
                           options.config_attention, NumericsOf(options)};
  std::vector<StagePlan> plans;
  for (const proto::Graph& stage : stages) {
    StagePlan& plan = plans.emplace_back();
    KEEL_ASSIGN_OR_RETURN(plan.sharded,
                          ShardGraph(stage, {.ranks = options.tensor_parallel,
                                             .experts_apart = options.expert_parallel}));
    if (stages.size() > 1) DropUnused(plan.sharded);
    KEEL_ASSIGN_OR_RETURN(plan.attention, ChooseAttentions(plan.sharded.graph, wish, registry,
                                                           options.dtype, KvFormatOf(options)));
  }
  return plans;
}

bool IsPacked(const ExecutorOptions& options) { return options.pack && !options.deterministic; }

// Packs what each rank has, one after the other.
class RankPacker {
 public:
  RankPacker(const proto::Graph& graph, const ExecutorOptions& options, WeightCache* cache,
             LoadReport& report)
      : graph_(graph), options_(options), cache_(cache), report_(report) {}

  // `part` was cut by `splits`.
  absl::StatusOr<std::shared_ptr<const Weights>> Pack(std::shared_ptr<const Weights> part,
                                                      absl::Span<const WeightSplit> splits) {
    if (!IsPacked(options_)) return part;
    const int ranks = options_.tensor_parallel * options_.pipeline_parallel, rank = packed_++;
    PackOptions pack{
        .dtype = options_.dtype, .quantization = options_.quantization, .cache = cache_};
    pack.part =
        absl::StrCat("rank ", rank, " of ", options_.tensor_parallel, " x ",
                     options_.pipeline_parallel, options_.expert_parallel ? ", experts apart" : "");
    for (const WeightSplit& split : splits)
      absl::StrAppend(&pack.splits, static_cast<int>(split.kind), ".", split.parts, ".",
                      split.packs, " ");
    if (options_.on_pack_bytes) {
      pack.on_bytes = [&, rank, ranks](int64_t done, int64_t total) {
        options_.on_pack_bytes(rank * total + done, ranks * total);
      };
    }
    KEEL_ASSIGN_OR_RETURN(Packed packed, PackLinears(graph_, std::move(part), pack));
    report_.packed_bytes += packed.bytes;
    report_.packed_from_cache = packed.from_cache && (rank == 0 || report_.packed_from_cache);
    report_.warnings.insert(report_.warnings.end(), packed.warnings.begin(), packed.warnings.end());
    return std::move(packed.weights);
  }

 private:
  const proto::Graph& graph_;
  const ExecutorOptions& options_;
  WeightCache* const cache_;
  LoadReport& report_;
  int packed_ = 0;  // ranks
};

absl::StatusOr<std::unique_ptr<Executor>> CreateExecutor(
    proto::Graph graph, std::shared_ptr<const Checkpoint> checkpoint,
    const AttentionRegistry& attention, const ExecutorOptions& options) {
  KEEL_RETURN_IF_ERROR(CheckOptions(options));
  // Before gigabytes are read.
  KEEL_RETURN_IF_ERROR(CheckServed(graph));
  KEEL_RETURN_IF_ERROR(CheckKernels(graph, options.kernels, NumericsOf(options)));
  const uint32_t embed_tokens = AddHostFunctions(options.pooling, &graph);
  KEEL_ASSIGN_OR_RETURN(const std::vector<StagePlan> plans, PlanStages(graph, attention, options));
  KEEL_RETURN_IF_ERROR(CheckEncodersWhole(plans[0].sharded.graph));
  LoadReport report;
  report.weights = CountWeights(graph);
  for (const StagePlan& plan : plans) Report(plan.attention, &report);
  KEEL_ASSIGN_OR_RETURN(const std::shared_ptr<const Weights> weights,
                        LoadWeights(graph, std::move(checkpoint),
                                    {.dtype = options.dtype,
                                     .numerics = NumericsOf(options),
                                     .keep_types = IsPacked(options),
                                     .on_bytes = options.on_load_bytes}));
  std::unique_ptr<WeightCache> cache;
  if (!options.weight_cache.empty()) cache = std::make_unique<WeightCache>(options.weight_cache);
  RankPacker packer(graph, options, cache.get(), report);
  std::vector<std::unique_ptr<Rank>> ranks;
  for (const StagePlan& plan : plans) {
    for (int i = 0; i < options.tensor_parallel; ++i) {
      KEEL_ASSIGN_OR_RETURN(
          std::shared_ptr<const Weights> part,
          ShardWeights(weights, plan.sharded.weights, i, options.tensor_parallel));
      KEEL_ASSIGN_OR_RETURN(part, packer.Pack(std::move(part), plan.sharded.weights));
      KEEL_ASSIGN_OR_RETURN(
          std::unique_ptr<Rank> rank,
          Rank::Create(plan.sharded.graph, std::move(part), plan.attention, options));
      if (i == 0 && options.print_graph) report.graphs.push_back(rank->listing());
      ranks.push_back(std::move(rank));
    }
  }
  report.warnings.insert(report.warnings.end(), weights->warnings.begin(), weights->warnings.end());
  const int64_t vocab = graph.declarations(static_cast<int>(embed_tokens) - 1).embedding().rows();
  return std::make_unique<RankedExecutor>(std::move(ranks), std::move(cache),
                                          options.pipeline_parallel, vocab, options.block_size,
                                          std::move(report));
}

}  // namespace

bool Executor::EncodesTogether(const std::string& /*modality*/) const { return false; }

absl::StatusOr<std::unique_ptr<Encoding>> Executor::StartEncoding(
    const std::string& modality, absl::Span<const NamedTensors* const> /*items*/) {
  return absl::UnimplementedError(absl::StrCat("this model has no encoder of ", modality));
}

absl::StatusOr<FeatureList> Executor::EncodeAll(const std::string& modality,
                                                absl::Span<const NamedTensors* const> items) {
  KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<Encoding> encoding, StartEncoding(modality, items));
  for (;;) {
    KEEL_ASSIGN_OR_RETURN(FeatureList features, encoding->Advance(absl::InfiniteDuration()));
    if (!features.empty()) return features;
  }
}

absl::StatusOr<std::shared_ptr<const Features>> Executor::Encode(const std::string& modality,
                                                                 const NamedTensors& inputs) {
  const NamedTensors* const items[] = {&inputs};
  KEEL_ASSIGN_OR_RETURN(const FeatureList features, EncodeAll(modality, items));
  return features[0];
}

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(
    proto::Graph graph, std::shared_ptr<const Checkpoint> checkpoint,
    const AttentionRegistry& attention, ExecutorOptions options) {
  return CatchAten([&]() -> absl::StatusOr<std::unique_ptr<Executor>> {
    const ScopedSerialAten serial;
    return CreateExecutor(std::move(graph), std::move(checkpoint), attention, options);
  });
}

}  // namespace keel
