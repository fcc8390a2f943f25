#include "core/exec/rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tanh.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/exec/eager.h"
#include "core/exec/shadow.h"
#include "core/ops/invariant.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using proto::Declaration;

uint32_t FindObject(const proto::Graph& graph, const std::string& name) {
  for (int i = 0; i < graph.declarations_size(); ++i) {
    if (graph.declarations(i).name() == name) return static_cast<uint32_t>(i + 1);
  }
  return 0;
}

const proto::Function* FindFunction(const proto::Graph& graph, absl::string_view name) {
  for (const proto::Function& function : graph.functions()) {
    if (function.name() == name) return &function;
  }
  return nullptr;
}

proto::Node ObjectNode(proto::Op op, uint32_t object) {
  proto::Node node;
  node.set_op(op);
  node.set_object(object);
  return node;
}

}  // namespace

HostObjects AddHostObjects(proto::Graph* graph) {
  const proto::ModelSpec& spec = graph->spec();
  HostObjects objects;
  objects.embed_tokens = FindObject(*graph, spec.embed_tokens());
  if (objects.embed_tokens == 0) {
    Declaration* d = graph->add_declarations();
    d->set_name(spec.embed_tokens());
    d->mutable_embedding()->set_rows(spec.vocab_size());
    d->mutable_embedding()->set_size(spec.hidden_size());
    objects.embed_tokens = static_cast<uint32_t>(graph->declarations_size());
  }
  objects.lm_head = FindObject(*graph, spec.lm_head());
  if (objects.lm_head == 0 && FindFunction(*graph, "logits") == nullptr) {
    Declaration* d = graph->add_declarations();
    d->set_name(spec.lm_head());
    d->mutable_linear()->set_in(spec.hidden_size());
    d->mutable_linear()->set_out(spec.vocab_size());
    objects.lm_head = static_cast<uint32_t>(graph->declarations_size());
  }
  if (objects.lm_head != 0 && spec.tie_word_embeddings()) {
    Declaration* head = graph->mutable_declarations(static_cast<int>(objects.lm_head) - 1);
    if (head->tied_to() == 0) head->set_tied_to(objects.embed_tokens);
  }
  return objects;
}

Rank::Rank(proto::Graph graph, HostObjects objects, const ExecutorOptions& options)
    : graph_(std::move(graph)),
      objects_(objects),
      mode_(options.mode),
      numerics_(NumericsOf(options)),
      live_(options.live) {}

absl::StatusOr<std::unique_ptr<Rank>> Rank::Create(proto::Graph graph, HostObjects objects,
                                                   std::shared_ptr<const Weights> weights,
                                                   absl::Span<const AttentionChoice> attention,
                                                   const ExecutorOptions& options) {
  auto rank = std::unique_ptr<Rank>(new Rank(std::move(graph), objects, options));
  const proto::Function* forward = FindFunction(rank->graph_, "forward");
  if (forward == nullptr) return absl::InvalidArgumentError("the graph has no forward");
  rank->forward_.emplace(*forward);
  if (const proto::Function* logits = FindFunction(rank->graph_, "logits"))
    rank->logits_.emplace(*logits);
  KEEL_ASSIGN_OR_RETURN(
      rank->ops_, OpRunner::Create(rank->graph_, std::move(weights), attention, options.kernels,
                                   options.dtype, options.block_size, rank->numerics_));
  return rank;
}

absl::StatusOr<at::Tensor> Rank::Step(const StepTensors& step, Collectives* collectives) {
  ops_->SetCollectives(collectives);
  ops_->BeginStep(&step.context);
  absl::StatusOr<at::Tensor> logits = [&]() -> absl::StatusOr<at::Tensor> {
    KEEL_ASSIGN_OR_RETURN(const at::Tensor hidden, Forward(step));
    KEEL_ASSIGN_OR_RETURN(const at::Tensor rows,
                          CatchAten([&] { return hidden.index_select(0, step.logit_rows); }));
    return Logits(rows);
  }();
  ops_->EndStep();
  ops_->SetCollectives(nullptr);
  return logits;
}

absl::StatusOr<at::Tensor> Rank::Embed(const at::Tensor& token_ids) {
  std::vector<at::Tensor> out;
  const proto::Node node = ObjectNode(proto::OP_EMBED, objects_.embed_tokens);
  KEEL_RETURN_IF_ERROR(ops_->Run(node, {&token_ids, 1}, &out));
  const double scale = graph_.spec().embed_scale();
  if (scale == 0 || scale == 1) return out[0];
  // transformers keeps the scale in the weights' type, which rounds it.
  return CatchAten([&] { return out[0] * at::scalar_tensor(scale, out[0].scalar_type()); });
}

absl::StatusOr<std::vector<at::Tensor>> Rank::ForwardInputs(const StepTensors& step) {
  std::vector<at::Tensor> inputs;
  for (const proto::Function::Input& input : forward_->function().inputs()) {
    if (input.name() == "embeds") {
      KEEL_ASSIGN_OR_RETURN(at::Tensor embeds, Embed(step.token_ids));
      inputs.push_back(std::move(embeds));
    } else if (input.name() == "input_ids") {
      inputs.push_back(step.token_ids);
    } else {
      inputs.push_back(step.positions);
    }
  }
  return inputs;
}

absl::StatusOr<at::Tensor> Rank::Forward(const StepTensors& step) {
  KEEL_ASSIGN_OR_RETURN(const std::vector<at::Tensor> inputs, ForwardInputs(step));
  if (mode_ == ExecMode::kGraph) {
    KEEL_ASSIGN_OR_RETURN(std::vector<at::Tensor> outputs, forward_->Run(*ops_, inputs));
    return outputs[0];
  }
  const proto::Function& function = forward_->function();
  if (mode_ == ExecMode::kEager) {
    EagerRun run(*ops_, "forward");
    return RunForward(run, live_, function, inputs);
  }
  ShadowRun run(*ops_, function);
  KEEL_ASSIGN_OR_RETURN(at::Tensor hidden, RunForward(run, live_, function, inputs));
  KEEL_RETURN_IF_ERROR(run.CheckEnd(hidden));
  return hidden;
}

absl::StatusOr<at::Tensor> Rank::Logits(const at::Tensor& hidden) {
  const proto::ModelSpec& spec = graph_.spec();
  if (hidden.size(0) == 0) return at::empty({0, spec.vocab_size()}, at::kFloat);
  if (logits_.has_value()) {
    at::Tensor logits;
    if (mode_ == ExecMode::kEager && live_.model_class->logits != nullptr) {
      EagerRun run(*ops_, "logits");
      KEEL_ASSIGN_OR_RETURN(logits, RunLogits(run, live_, hidden));
    } else {
      KEEL_ASSIGN_OR_RETURN(std::vector<at::Tensor> outputs, logits_->Run(*ops_, {&hidden, 1}));
      logits = std::move(outputs[0]);
    }
    return CatchAten([&] { return logits.to(at::kFloat).contiguous(); });
  }
  std::vector<at::Tensor> out;
  const proto::Node node = ObjectNode(proto::OP_LINEAR, objects_.lm_head);
  KEEL_RETURN_IF_ERROR(ops_->Run(node, {&hidden, 1}, &out));
  return CatchAten([&] {
    at::Tensor logits = out[0].to(at::kFloat);
    if (spec.logit_scale() != 0 && spec.logit_scale() != 1) logits = logits * spec.logit_scale();
    if (spec.logit_softcap() > 0) {
      const at::Tensor capped = logits / spec.logit_softcap();
      logits = ByElement(numerics_, capped, [](const at::Tensor& x) { return at::tanh(x); }) *
               spec.logit_softcap();
    }
    return logits.contiguous();
  });
}

}  // namespace keel
