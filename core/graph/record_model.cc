#include "core/graph/record_model.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/abi_input.h"
#include "core/base/plugin_call.h"
#include "core/base/status.h"
#include "core/config/config_view.h"
#include "core/config/rope_parameters.h"
#include "core/config/spec_builder.h"
#include "core/graph/declaration.h"
#include "core/graph/declare.h"
#include "core/graph/errors.h"
#include "core/graph/op_table.h"
#include "core/graph/recorder.h"
#include "core/graph/types.h"
#include "core/graph/verifier.h"

namespace keel {
namespace {

// One call into the plugin. `host` is what the host noticed meanwhile: it comes first, for it says more.
absl::Status Call(const ModelSource& source, const char* function, const absl::Status& host,
                  absl::FunctionRef<keel_status()> call) {
  const absl::Status returned =
      CallThrough(source.call, absl::StrCat(source.model_class->name, ".", function), call);
  return host.ok() ? returned : host;
}

TensorType InputType(const proto::ModelSpec::Input& input) {
  TensorType type{static_cast<proto::DataType>(input.dtype()), {}};
  for (int i = 0; i < input.dims_size(); ++i) {
    const int64_t dim = input.dims(i);
    // In forward -1 is the number of tokens; in a tower symbols are its own.
    const std::string symbol =
        input.graph() == "forward" && dim == -1 ? "N" : absl::StrCat("S", -dim);
    const int64_t multiple = input.multiples().empty() ? 1 : input.multiples(i);
    type.dims.push_back(dim >= 0 ? Extent{dim, "", 1} : Extent{multiple, symbol, 1});
  }
  return type;
}

class Session {
 public:
  Session(const ModelSource& source, const proto::Graph& graph, const void* model)
      : source_(source), graph_(graph), model_(model) {}

  absl::StatusOr<proto::Function> Forward() const {
    const std::unique_ptr<Recorder> recording = NewRecorder("forward");
    Recorder& recorder = *recording;
    keel_forward_inputs inputs{};
    inputs.struct_size = sizeof(inputs);
    inputs.embeds =
        recorder.AddInput("embeds", {proto::MODEL, {Tokens(), {EmbeddingSize(graph_), "", 1}}});
    inputs.positions = recorder.AddInput("positions", Positions());
    const std::vector<keel_tensor> extras = AddInputs(recorder, "forward");
    inputs.num_extras = static_cast<uint32_t>(extras.size());
    inputs.extras = extras.data();
    keel_tensor hidden = 0;
    KEEL_RETURN_IF_ERROR(Call(source_, "forward", recorder.status(), [&] {
      return source_.model_class->forward(model_, &recorder, &inputs, &hidden);
    }));
    return recorder.Finish(hidden);
  }

  // `head`: logits or pool, what makes the answer of rows of hidden states.
  absl::StatusOr<proto::Function> Head(const char* name,
                                       decltype(keel_model_class::logits) head) const {
    const std::unique_ptr<Recorder> recording = NewRecorder(name);
    Recorder& recorder = *recording;
    const keel_tensor hidden = recorder.AddInput(
        "hidden", {proto::MODEL, {{1, "R", 1}, {graph_.spec().hidden_size(), "", 1}}});
    keel_tensor out = 0;
    KEEL_RETURN_IF_ERROR(Call(source_, name, recorder.status(),
                              [&] { return head(model_, &recorder, hidden, &out); }));
    return recorder.Finish(out);
  }

  absl::StatusOr<proto::Function> Encode(const std::string& modality) const {
    const std::unique_ptr<Recorder> recording = NewRecorder(absl::StrCat("encode/", modality));
    Recorder& recorder = *recording;
    const std::vector<keel_tensor> inputs = AddInputs(recorder, modality);
    keel_tensor features = 0;
    KEEL_RETURN_IF_ERROR(Call(source_, "encode", recorder.status(), [&] {
      return source_.model_class->encode(model_, &recorder, modality.c_str(), inputs.data(),
                                         static_cast<uint32_t>(inputs.size()), &features);
    }));
    return recorder.Finish(features);
  }

 private:
  std::unique_ptr<Recorder> NewRecorder(std::string function) const {
    std::unique_ptr<Recorder> recorder =
        source_.make_recorder ? source_.make_recorder(graph_, std::move(function))
                              : std::make_unique<Recorder>(graph_, std::move(function));
    recorder->SetKernels(&source_.kernels);
    return recorder;
  }

  static Extent Tokens() { return {1, "N", 1}; }

  static bool IsPositions(const proto::ModelSpec::Input& input) {
    return input.graph() == "forward" && input.name() == "positions";
  }

  // [N], unless the spec declares positions of its own ([axes, N]).
  TensorType Positions() const {
    for (const proto::ModelSpec::Input& input : graph_.spec().inputs()) {
      if (IsPositions(input)) return InputType(input);
    }
    return {proto::I64, {Tokens()}};
  }

  std::vector<keel_tensor> AddInputs(Recorder& recorder, const std::string& graph) const {
    std::vector<keel_tensor> handles;
    for (const proto::ModelSpec::Input& input : graph_.spec().inputs()) {
      if (input.graph() != graph || IsPositions(input)) continue;
      handles.push_back(recorder.AddInput(input.name(), InputType(input)));
    }
    return handles;
  }

  const ModelSource& source_;
  const proto::Graph& graph_;
  const void* model_;
};

absl::Status Differs(absl::string_view what) {
  return Bad(absl::StrCat(what, " recorded two different graphs"), "the same each time",
             "it must depend on the config alone and leave the model unchanged");
}

absl::Status CheckAlike(const std::vector<proto::Function>& first,
                        const std::vector<proto::Function>& again) {
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i].SerializeAsString() != again[i].SerializeAsString())
      return Differs(first[i].name());
  }
  return absl::OkStatus();
}

// What a second model of the same config declares and records.
absl::Status CheckAnotherModel(const RecordedModel& first,
                               const std::vector<proto::Function>& functions,
                               const absl::StatusOr<RecordedModel>& other,
                               const ModelSource& source) {
  KEEL_RETURN_IF_ERROR(other.status());
  if (first.graph.SerializeAsString() != other->graph.SerializeAsString()) return Differs("create");
  KEEL_ASSIGN_OR_RETURN(const std::vector<proto::Function> again, RecordFunctions(source, *other));
  return CheckAlike(functions, again);
}

absl::StatusOr<RecordedModel> Record(const ModelSource& source, const boost::json::value& config,
                                     const std::string& where) {
  if (!config.is_object())
    return absl::InvalidArgumentError(absl::StrCat(where, ": expected an object"));
  ConfigDocument document(config, where);
  KEEL_ASSIGN_OR_RETURN(const proto::ModelSpec spec, RecordSpec(source, document));
  const auto create = [&] {
    return RecordDeclarations(source, document, config.get_object(), where, spec);
  };
  KEEL_ASSIGN_OR_RETURN(RecordedModel created, create());
  KEEL_ASSIGN_OR_RETURN(std::vector<proto::Function> functions, RecordFunctions(source, created));
  KEEL_ASSIGN_OR_RETURN(const std::vector<proto::Function> again, RecordFunctions(source, created));
  KEEL_RETURN_IF_ERROR(CheckAlike(functions, again));
  KEEL_RETURN_IF_ERROR(CheckAnotherModel(created, functions, create(), source));
  created.graph = WithFunctions(std::move(created.graph), std::move(functions));
  KEEL_RETURN_IF_ERROR(VerifyGraph(created.graph));
  created.config_keys = document.asked();
  return created;
}

}  // namespace

absl::StatusOr<proto::ModelSpec> RecordSpec(const ModelSource& source, ConfigDocument& document) {
  keel_spec spec = NewSpec();
  KEEL_RETURN_IF_ERROR(CheckGiven("the model class's name", source.model_class->name));
  spec.spec.set_architecture(source.model_class->name);
  if (const char* type = source.model_class->model_type; type != nullptr)
    spec.spec.set_model_type(type);
  const absl::Status called = Call(source, "config", document.status(), [&] {
    return source.model_class->config(source.plugin, document.root(), &spec);
  });
  KEEL_RETURN_IF_ERROR(document.status());
  KEEL_RETURN_IF_ERROR(spec.status);
  KEEL_RETURN_IF_ERROR(called);
  KEEL_RETURN_IF_ERROR(CheckSpec(spec));
  if (spec.spec.max_positions() > 0) {
    KEEL_ASSIGN_OR_RETURN(
        const int64_t longest,
        ExtendedPositions(*document.root()->object, spec.spec.max_positions(), "config.json"));
    spec.spec.set_max_positions(longest);
  }
  return std::move(spec.spec);
}

absl::StatusOr<RecordedModel> RecordDeclarations(const ModelSource& source,
                                                 ConfigDocument& document,
                                                 const boost::json::object& config,
                                                 const std::string& where,
                                                 const proto::ModelSpec& spec) {
  RecordedModel out;
  out.model_class = source.model_class;
  out.graph.set_plugin(source.plugin_name);
  *out.graph.mutable_spec() = spec;
  Declarer declarer(&out.graph, config, where, &source.kernels);
  if (source.build_api != nullptr) declarer.api = source.build_api;
  void* model = nullptr;
  const absl::Status created = Call(source, "create", declarer.status(), [&] {
    return source.model_class->create(source.plugin, document.root(), &declarer, &model);
  });
  const auto destroy = source.model_class->destroy;
  out.model = ModelHandle(model, [destroy](void* m) { destroy(m); });
  KEEL_RETURN_IF_ERROR(document.status());
  KEEL_RETURN_IF_ERROR(created);
  return out;
}

absl::StatusOr<std::vector<proto::Function>> RecordFunctions(const ModelSource& source,
                                                             const RecordedModel& declared) {
  const proto::Graph& graph = declared.graph;
  const Session session(source, graph, declared.model.get());
  std::vector<proto::Function> functions;
  KEEL_ASSIGN_OR_RETURN(proto::Function forward, session.Forward());
  functions.push_back(std::move(forward));
  const keel_model_class& model_class = *source.model_class;
  for (const auto& [name, head] :
       {std::pair("logits", model_class.logits), std::pair("pool", model_class.pool)}) {
    if (head == nullptr) continue;
    KEEL_ASSIGN_OR_RETURN(proto::Function function, session.Head(name, head));
    functions.push_back(std::move(function));
  }
  std::set<std::string> modalities;  // sorted: one order of functions, whatever the spec's
  for (const proto::ModelSpec::Input& input : graph.spec().inputs()) {
    if (input.graph() != "forward") modalities.insert(input.graph());
  }
  for (const std::string& modality : modalities) {
    if (source.model_class->encode == nullptr) {
      return Bad(absl::StrCat("declares inputs of '", modality, "' but has no encode"), "one");
    }
    KEEL_ASSIGN_OR_RETURN(proto::Function encode, session.Encode(modality));
    functions.push_back(std::move(encode));
  }
  return functions;
}

proto::Graph WithFunctions(proto::Graph declared, std::vector<proto::Function> functions) {
  for (proto::Function& function : functions) *declared.add_functions() = std::move(function);
  declared.set_opset(OpsetOf(declared));
  return declared;
}

absl::StatusOr<RecordedModel> RecordModel(const ModelSource& source,
                                          const boost::json::value& config,
                                          const std::string& where) {
  absl::StatusOr<RecordedModel> out = Record(source, config, where);
  if (!out.ok())
    return Annotate(out.status(),
                    absl::StrCat("plugin ", source.plugin_name, ", ", source.model_class->name));
  return out;
}

}  // namespace keel
