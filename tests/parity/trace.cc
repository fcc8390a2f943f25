#include "tests/parity/trace.h"

#include <ATen/ops/argmax.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/exec/executor.h"
#include "core/tensor/aten.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int32_t kBlockSize = 16;

// An executor with room for one sequence of `tokens` tokens.
absl::StatusOr<std::unique_ptr<Executor>> NewExecutor(
    const proto::Graph& graph, const std::shared_ptr<const Checkpoint>& checkpoint,
    const AttentionRegistry& attention, size_t tokens) {
  ExecutorOptions options;
  options.block_size = kBlockSize;
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                        Executor::Create(graph, checkpoint, attention, options));
  const CacheLayout layout = executor->cache_layout();
  const int32_t blocks = static_cast<int32_t>(tokens / kBlockSize + 1);
  const std::vector<int32_t> of_groups(layout.groups.size(), blocks);
  KEEL_RETURN_IF_ERROR(executor->AllocateCache(of_groups, 1));
  if (layout.state_bytes > 0) {
    CacheWork zeros;
    zeros.states.push_back({-1, 0});
    KEEL_RETURN_IF_ERROR(executor->Do(zeros));
  }
  return executor;
}

// Logits of `ids` from position `done` on, every row.
absl::StatusOr<at::Tensor> Step(Executor& executor, const std::vector<int32_t>& ids, int32_t done) {
  const CacheLayout layout = executor.cache_layout();
  std::vector<int32_t> blocks(ids.size() / kBlockSize + 1);
  std::iota(blocks.begin(), blocks.end(), 0);
  Batch batch;
  batch.token_ids.assign(ids.begin() + done, ids.end());
  const int32_t tokens = static_cast<int32_t>(batch.token_ids.size());
  batch.sequences.push_back({done, tokens, layout.state_bytes > 0 ? 0 : -1,
                             std::vector<std::vector<int32_t>>(layout.groups.size(), blocks)});
  batch.logit_rows.resize(tokens);
  std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
  KEEL_ASSIGN_OR_RETURN(const at::Tensor logits, executor.Step(batch));
  return CatchAten([&] { return logits.clone(); });
}

}  // namespace

absl::StatusOr<proto::Graph> GraphUpToLayer(const proto::Graph& graph, int index) {
  proto::Graph out = graph;
  const auto forward =
      std::find_if(out.mutable_functions()->begin(), out.mutable_functions()->end(),
                   [](const proto::Function& f) { return f.name() == "forward"; });
  if (forward == out.mutable_functions()->end()) return absl::NotFoundError("no forward");
  auto& nodes = *forward->mutable_nodes();
  const auto is_end = [index](const proto::Node& node) {
    return node.op() == proto::OP_MARK && node.ints(0) == KEEL_MARK_LAYER_END &&
           node.ints(1) == index;
  };
  const auto end = std::find_if(nodes.begin(), nodes.end(), is_end);
  if (end == nodes.end())
    return absl::NotFoundError(absl::StrCat("no layer ", index, " is marked in forward"));

  std::set<uint32_t> used_later(forward->outputs().begin(), forward->outputs().end());
  for (auto node = end; node != nodes.end(); ++node)
    used_later.insert(node->inputs().begin(), node->inputs().end());
  std::vector<uint32_t> left;  // by the layer
  for (auto node = std::make_reverse_iterator(end); node != nodes.rend(); ++node) {
    if (node->op() == proto::OP_MARK && node->ints(0) == KEEL_MARK_LAYER_BEGIN) break;
    for (const uint32_t value : node->outputs()) {
      if (used_later.contains(value)) left.push_back(value);
    }
  }
  if (left.size() != 1) {
    return absl::UnimplementedError(absl::StrCat("layer ", index, " leaves ", left.size(),
                                                 " tensors, expected one: the hidden states"));
  }
  forward->mutable_outputs()->Clear();
  forward->add_outputs(left.front());
  nodes.erase(end + 1, nodes.end());

  auto& functions = *out.mutable_functions();
  functions.erase(std::remove_if(functions.begin(), functions.end(),
                                 [](const proto::Function& f) { return f.name() == "logits"; }),
                  functions.end());
  out.mutable_spec()->set_logit_scale(1);
  out.mutable_spec()->set_logit_softcap(0);
  return out;
}

absl::StatusOr<std::unique_ptr<Tracer>> Tracer::Open(const std::string& plugin,
                                                     const std::string& dir) {
  auto tracer = std::make_unique<Tracer>();
  KEEL_ASSIGN_OR_RETURN(tracer->checkpoint_, Checkpoint::Open(dir));
  KEEL_ASSIGN_OR_RETURN(tracer->recording_, RecordPlugin(plugin, tracer->checkpoint_->config()));
  return tracer;
}

absl::StatusOr<at::Tensor> Tracer::Logits(const std::vector<int32_t>& prompt) const {
  KEEL_ASSIGN_OR_RETURN(
      const std::unique_ptr<Executor> executor,
      NewExecutor(recording_.model.graph, checkpoint_, attention_, prompt.size()));
  return Step(*executor, prompt, 0);
}

absl::StatusOr<at::Tensor> Tracer::LayerLogits(const std::vector<int32_t>& prompt,
                                               int index) const {
  KEEL_ASSIGN_OR_RETURN(const proto::Graph graph, GraphUpToLayer(recording_.model.graph, index));
  KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<Executor> executor,
                        NewExecutor(graph, checkpoint_, attention_, prompt.size()));
  return Step(*executor, prompt, 0);
}

absl::StatusOr<std::vector<int32_t>> Tracer::Greedy(const std::vector<int32_t>& prompt,
                                                    int n) const {
  KEEL_ASSIGN_OR_RETURN(
      const std::unique_ptr<Executor> executor,
      NewExecutor(recording_.model.graph, checkpoint_, attention_, prompt.size() + n));
  std::vector<int32_t> ids = prompt;
  for (int32_t done = 0; static_cast<int>(ids.size() - prompt.size()) < n;) {
    KEEL_ASSIGN_OR_RETURN(const at::Tensor logits, Step(*executor, ids, done));
    done = static_cast<int32_t>(ids.size());
    KEEL_ASSIGN_OR_RETURN(const int64_t best, CatchAten([&] {
                            return at::argmax(logits.select(0, -1)).item<int64_t>();
                          }));
    ids.push_back(static_cast<int32_t>(best));
  }
  return std::vector<int32_t>(ids.begin() + prompt.size(), ids.end());
}

}  // namespace keel
