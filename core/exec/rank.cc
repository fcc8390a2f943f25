#include "core/exec/rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/exec/eager.h"
#include "core/exec/shadow.h"
#include "core/graph/declaration.h"
#include "core/graph/feature_rows.h"
#include "core/graph/op_attributes.h"
#include "core/graph/stages.h"
#include "core/graph/types.h"
#include "core/kernels/aten_threads.h"
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

uint32_t Declare(proto::Graph* graph, Declaration d) {
  *graph->add_declarations() = std::move(d);
  return static_cast<uint32_t>(graph->declarations_size());
}

// A function of one node that applies `object` to its input.
void AddFunction(proto::Graph* graph, const char* name, proto::Op op, uint32_t object,
                 const TensorType& in, const TensorType& out) {
  proto::Function* function = graph->add_functions();
  function->set_name(name);
  proto::Function::Input* input = function->add_inputs();
  input->set_name("x");
  *input->mutable_type() = ToProto(in);
  proto::Node* node = function->add_nodes();
  *node = op::MakeNode(op, object);
  node->add_inputs(1);
  node->add_outputs(2);
  *node->add_types() = ToProto(out);
  function->add_outputs(2);
}

// The one output of a function with one input.
absl::StatusOr<at::Tensor> Apply(const Interpreter& function, OpRunner& ops, const at::Tensor& x) {
  KEEL_ASSIGN_OR_RETURN(std::vector<at::Tensor> outputs, function.Run(ops, {&x, 1}));
  return std::move(outputs[0]);
}

// Whether a stage behind this one takes what it computes, be that logits or vectors in the end.
bool HandsOn(const Collectives* pipeline) {
  return pipeline != nullptr && pipeline->rank() + 1 < pipeline->size();
}

}  // namespace

uint32_t AddHostFunctions(bool pooling, proto::Graph* graph) {
  RemoveFunction(pooling ? "logits" : "pool", *graph);
  const proto::ModelSpec& spec = graph->spec();
  const Extent tokens{1, "N", 1}, rows{1, "R", 1}, hidden{spec.hidden_size(), "", 1},
      vocabulary{spec.vocab_size(), "", 1};
  uint32_t embed_tokens = FindObject(*graph, spec.embed_tokens());
  if (embed_tokens == 0) {
    Declaration d;
    d.set_name(spec.embed_tokens());
    d.mutable_embedding()->set_rows(spec.vocab_size());
    d.mutable_embedding()->set_size(spec.hidden_size());
    embed_tokens = Declare(graph, std::move(d));
  }
  AddFunction(graph, "embed", proto::OP_EMBED, embed_tokens, {proto::I64, {tokens}},
              {proto::MODEL, {tokens, {EmbeddingSize(*graph), "", 1}}});
  if (pooling) return embed_tokens;
  uint32_t lm_head = FindObject(*graph, spec.lm_head());
  if (FindFunction(*graph, "logits") == nullptr) {
    if (lm_head == 0) {
      Declaration d;
      d.set_name(spec.lm_head());
      d.mutable_linear()->set_in(spec.hidden_size());
      d.mutable_linear()->set_out(spec.vocab_size());
      lm_head = Declare(graph, std::move(d));
    }
    AddFunction(graph, "head", proto::OP_LINEAR, lm_head, {proto::MODEL, {rows, hidden}},
                {proto::MODEL, {rows, vocabulary}});
  }
  if (lm_head != 0 && spec.tie_word_embeddings()) {
    Declaration* head = graph->mutable_declarations(static_cast<int>(lm_head) - 1);
    if (head->tied_to() == 0) head->set_tied_to(embed_tokens);
  }
  return embed_tokens;
}

Rank::Rank(proto::Graph graph, const ExecutorOptions& options)
    : graph_(std::move(graph)),
      mode_(options.mode),
      pooling_(options.pooling),
      numerics_(NumericsOf(options)),
      live_(options.live) {}

absl::StatusOr<std::unique_ptr<Rank>> Rank::Create(proto::Graph graph,
                                                   std::shared_ptr<const Weights> weights,
                                                   absl::Span<const AttentionChoice> attention,
                                                   const ExecutorOptions& options) {
  auto rank = std::unique_ptr<Rank>(new Rank(std::move(graph), options));
  for (const auto& [name, function] :
       {std::pair("forward", &rank->forward_), std::pair("embed", &rank->embed_),
        std::pair("logits", &rank->logits_), std::pair("head", &rank->head_),
        std::pair("pool", &rank->pool_)}) {
    if (const proto::Function* found = FindFunction(rank->graph_, name)) function->emplace(*found);
  }
  const int64_t rows = RowsPerFeature(rank->graph_);
  for (const proto::Function& function : rank->graph_.functions()) {
    if (!IsEncoder(function)) continue;
    rank->encoders_.try_emplace(function.name(), rank->graph_.spec(), function, rows,
                                /*merges=*/!options.deterministic);
  }
  if (!rank->forward_.has_value()) return absl::InvalidArgumentError("the graph has no forward");
  KEEL_ASSIGN_OR_RETURN(
      rank->ops_, OpRunner::Create(rank->graph_, std::move(weights), attention, options.kernels,
                                   options.dtype, KvFormatOf(options), rank->numerics_));
  if (options.mode != ExecMode::kCompiled) {
    rank->not_compiled_ = absl::StrCat("--exec=", ExecModeName(options.mode));
  } else if (options.deterministic) {
    rank->not_compiled_ = "--deterministic runs the graph node by node";
  } else {
    KEEL_RETURN_IF_ERROR(rank->Compile(options));
  }
  return rank;
}

absl::Status Rank::Compile(const ExecutorOptions& options) {
  CompileOptions compile;
  compile.ends_in_forward = !logits_.has_value() && !head_.has_value();
  compile.takes_embeds = !encoders_.empty();
  compile.disabled_passes = options.disabled_passes;
  compile.keep_listing = options.print_graph;
  c10::InferenceMode guard;
  absl::StatusOr<std::unique_ptr<Program>> program = Program::Compile(*ops_, compile);
  if (absl::IsUnimplemented(program.status())) {  // node by node then
    not_compiled_ = std::string(program.status().message());
    return absl::OkStatus();
  }
  KEEL_RETURN_IF_ERROR(program.status());
  program_ = *std::move(program);
  if (options.measure_steps) program_->MeasureTimes();
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> Rank::Step(const StepTensors& step, const RankLinks& links) {
  ops_->SetCollectives(links.tensor);
  ops_->BeginStep(&step.context);
  absl::StatusOr<at::Tensor> logits =
      program_ != nullptr ? RunProgram(step, links.pipeline) : Run(step, links.pipeline);
  ops_->EndStep();
  ops_->SetCollectives(nullptr);
  return logits;
}

const Encoder* Rank::FindEncoder(const std::string& modality) const {
  const auto found = encoders_.find(EncoderName(modality));
  return found == encoders_.end() ? nullptr : &found->second;
}

absl::StatusOr<Encoder::Run> Rank::StartEncoding(
    const std::string& modality, absl::Span<const NamedTensors* const> items) const {
  const Encoder* encoder = FindEncoder(modality);
  if (encoder == nullptr)
    return absl::UnimplementedError(absl::StrCat("the model has no encoder of ", modality));
  return encoder->Begin(ops_->dtype(), items);
}

absl::StatusOr<at::Tensor> Rank::Run(const StepTensors& step, Collectives* pipeline) {
  KEEL_ASSIGN_OR_RETURN(const std::vector<at::Tensor> outputs, Forward(step, pipeline));
  if (HandsOn(pipeline)) {
    for (const at::Tensor& carried : outputs)
      KEEL_RETURN_IF_ERROR(pipeline->Send(carried, pipeline->rank() + 1));
    return at::Tensor();
  }
  if (pooling_) return Pool(outputs[0], step.pooled);
  KEEL_ASSIGN_OR_RETURN(const at::Tensor rows,
                        CatchAten([&] { return outputs[0].index_select(0, step.logit_rows); }));
  return Logits(rows);
}

absl::StatusOr<at::Tensor> Rank::RunProgram(const StepTensors& step, Collectives* pipeline) {
  std::vector<at::Tensor> inputs;
  for (const std::string& name : program_->inputs()) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor input, InputOf(name, step, pipeline));
    inputs.push_back(std::move(input));
  }
  KEEL_ASSIGN_OR_RETURN(
      std::vector<at::Tensor> outputs,
      program_->Run(inputs, step.token_ids.size(0), step.logit_rows.size(0), step.context));
  if (HandsOn(pipeline)) {
    for (const at::Tensor& carried : outputs) {
      // The next step uses the memory again.
      KEEL_ASSIGN_OR_RETURN(const at::Tensor own, CatchAten([&] { return carried.clone(); }));
      KEEL_RETURN_IF_ERROR(pipeline->Send(own, pipeline->rank() + 1));
    }
    return at::Tensor();
  }
  if (pooling_) return Pool(outputs[0], step.pooled);
  return std::move(outputs[0]);
}

absl::StatusOr<at::Tensor> Rank::InputOf(const std::string& name, const StepTensors& step,
                                         Collectives* pipeline) {
  if (absl::StartsWith(name, kCarried)) {
    KEEL_ASSIGN_OR_RETURN(const at::Tensor carried, pipeline->Receive(pipeline->rank() - 1));
    return CatchAten([&] { return carried.contiguous(); });
  }
  if (name == "embeds") return Embed(step);
  if (name == "input_ids") return step.token_ids;
  if (name == "logit_rows") return step.logit_rows;
  if (name == "groups") return step.groups;
  if (name == "token_type_ids") {
    if (step.token_types.defined()) return step.token_types;
    return CatchAten([&] { return at::zeros_like(step.token_ids); });
  }
  if (const int64_t number = FeaturesNumber(name); number > 0) return FeaturesOf(step, number);
  return PositionsOf(step);
}

absl::StatusOr<at::Tensor> Rank::FeaturesOf(const StepTensors& step, int64_t number) const {
  return CatchAten([&] {
    const at::Tensor rows = at::zeros({step.token_ids.size(0), EmbeddingSize(graph_)},
                                      at::TensorOptions().dtype(*ToScalarType(ops_->dtype())));
    for (const FeatureRows& f : step.features)
      rows.narrow(0, f.row, f.num).copy_(f.features->rows(number).narrow(0, f.first, f.num));
    return rows;
  });
}

absl::StatusOr<at::Tensor> Rank::PositionsOf(const StepTensors& step) const {
  int64_t axes = 0;  // positions have no such dimension
  for (const proto::Function::Input& input : forward_->function().inputs()) {
    if (input.name() == "positions" && input.type().dims_size() == 2)
      axes = input.type().dims(0).size();
  }
  if (!step.axes.defined()) {
    if (axes == 0) return step.positions;
    return CatchAten([&] { return step.positions.expand({axes, -1}).contiguous(); });
  }
  if (step.axes.size(0) != std::max<int64_t>(axes, 1)) {
    return absl::InvalidArgumentError(absl::StrCat("batch: positions have ", step.axes.size(0),
                                                   " axes, expected ", std::max<int64_t>(axes, 1)));
  }
  return CatchAten([&] { return axes == 0 ? step.axes.select(0, 0) : step.axes; });
}

// Features are not scaled.
absl::StatusOr<at::Tensor> Rank::Embed(const StepTensors& step) {
  KEEL_ASSIGN_OR_RETURN(at::Tensor rows, Apply(*embed_, *ops_, step.token_ids));
  const double scale = graph_.spec().embed_scale();
  return CatchAten([&] {
    // transformers keeps the scale in the weights' type, which rounds it.
    if (scale != 0 && scale != 1) rows = rows * at::scalar_tensor(scale, rows.scalar_type());
    for (const FeatureRows& f : step.features)
      rows.narrow(0, f.row, f.num).copy_(f.features->rows().narrow(0, f.first, f.num));
    return rows;
  });
}

absl::StatusOr<std::vector<at::Tensor>> Rank::ForwardInputs(const StepTensors& step,
                                                            Collectives* pipeline) {
  std::vector<at::Tensor> inputs;
  for (const proto::Function::Input& input : forward_->function().inputs()) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, InputOf(input.name(), step, pipeline));
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

absl::StatusOr<std::vector<at::Tensor>> Rank::Forward(const StepTensors& step,
                                                      Collectives* pipeline) {
  KEEL_ASSIGN_OR_RETURN(const std::vector<at::Tensor> inputs, ForwardInputs(step, pipeline));
  if (!RunsPlugin(mode_)) return forward_->Run(*ops_, inputs);
  const proto::Function& function = forward_->function();
  if (mode_ == ExecMode::kEager) {
    EagerRun run(*ops_, "forward");
    KEEL_ASSIGN_OR_RETURN(at::Tensor hidden, RunForward(run, live_, function, inputs));
    return std::vector<at::Tensor>{std::move(hidden)};
  }
  ShadowRun run(*ops_, function);
  KEEL_ASSIGN_OR_RETURN(at::Tensor hidden, RunForward(run, live_, function, inputs));
  KEEL_RETURN_IF_ERROR(run.CheckEnd(hidden));
  return std::vector<at::Tensor>{std::move(hidden)};
}

absl::StatusOr<at::Tensor> Rank::Logits(const at::Tensor& hidden) {
  const proto::ModelSpec& spec = graph_.spec();
  if (hidden.size(0) == 0) return at::empty({0, spec.vocab_size()}, at::kFloat);
  if (logits_.has_value()) {
    at::Tensor logits;
    if (mode_ == ExecMode::kEager && live_.model_class->logits != nullptr) {
      EagerRun run(*ops_, "logits");
      KEEL_ASSIGN_OR_RETURN(logits,
                            RunHead(run, live_, "logits", live_.model_class->logits, hidden));
    } else {
      KEEL_ASSIGN_OR_RETURN(logits, Apply(*logits_, *ops_, hidden));
    }
    return CatchAten([&] { return ConvertOnAllThreads(logits.contiguous(), at::kFloat); });
  }
  KEEL_ASSIGN_OR_RETURN(const at::Tensor out, Apply(*head_, *ops_, hidden));
  return CatchAten([&] {
    at::Tensor logits = ConvertOnAllThreads(out, at::kFloat);
    if (spec.logit_scale() != 0 && spec.logit_scale() != 1) logits = logits * spec.logit_scale();
    if (spec.logit_softcap() > 0) {
      const at::Tensor capped = logits / spec.logit_softcap();
      logits = ByElement(numerics_, capped, [](const at::Tensor& x) { return at::tanh(x); }) *
               spec.logit_softcap();
    }
    return logits.contiguous();
  });
}

// The mean in f32, which a vector of many tokens needs.
absl::StatusOr<at::Tensor> Rank::Pool(const at::Tensor& hidden, absl::Span<const PooledRows> rows) {
  KEEL_ASSIGN_OR_RETURN(
      const at::Tensor means, CatchAten([&] {
        at::Tensor out = at::empty({static_cast<int64_t>(rows.size()), hidden.size(1)}, at::kFloat);
        for (size_t i = 0; i < rows.size(); ++i) {
          out[static_cast<int64_t>(i)] =
              hidden.narrow(0, rows[i].first, rows[i].num).to(at::kFloat).mean(0);
        }
        return out;
      }));
  if (!pool_.has_value() || rows.empty()) return means;
  KEEL_ASSIGN_OR_RETURN(const at::Tensor in,
                        CatchAten([&] { return means.to(hidden.scalar_type()); }));
  at::Tensor vectors;
  if (mode_ == ExecMode::kEager && live_.model_class->pool != nullptr) {
    EagerRun run(*ops_, "pool");
    KEEL_ASSIGN_OR_RETURN(vectors, RunHead(run, live_, "pool", live_.model_class->pool, in));
  } else {
    KEEL_ASSIGN_OR_RETURN(vectors, Apply(*pool_, *ops_, in));
  }
  return CatchAten([&] { return vectors.to(at::kFloat).contiguous(); });
}

}  // namespace keel
