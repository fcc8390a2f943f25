#include "core/weights/weights.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using proto::Declaration;

// Of two tensors of one shape.
bool HaveSameBits(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.is_contiguous() && b.is_contiguous() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

using Contents = TensorSource::Contents;

class Loader {
 public:
  Loader(const proto::Graph& graph, const WeightOptions& options, TensorSource source,
         Contents contents)
      : graph_(graph),
        options_(options),
        contents_(contents),
        source_(std::move(source)),
        matrices_(graph.declarations_size()) {}

  absl::StatusOr<TensorComparison> Compare() {
    for (int i = 0; i < graph_.declarations_size(); ++i) KEEL_RETURN_IF_ERROR(LoadObject(i));
    TensorSource::Leftovers left = source_.FindLeftovers(modules_);
    return TensorComparison{source_.missing(), source_.unfit(), std::move(left.of_modules),
                            std::move(left.others), std::move(ties_)};
  }

  absl::Status Load(Weights* weights) {
    weights->objects.resize(graph_.declarations_size());
    for (int i = 0; i < graph_.declarations_size(); ++i) {
      KEEL_ASSIGN_OR_RETURN(weights->objects[i], LoadObject(i));
    }
    KEEL_RETURN_IF_ERROR(source_.CheckComplete());
    KEEL_RETURN_IF_ERROR(CheckLeftovers(weights->checkpoint->dir()));
    weights->warnings = std::move(warnings_);
    return absl::OkStatus();
  }

 private:
  // Where a tensor is missing, what needs it is left out: CheckComplete has the last word.
  absl::StatusOr<ObjectWeights> LoadObject(int index) {
    const Declaration& d = graph_.declarations(index);
    switch (d.kind_case()) {
      case Declaration::kLinear: {
        KEEL_ASSIGN_OR_RETURN(const at::Tensor weight, Matrix(index));
        return Linear(weight, d.name(), d.linear().out(), d.linear().bias());
      }
      case Declaration::kEmbedding: {
        KEEL_ASSIGN_OR_RETURN(at::Tensor rows, Matrix(index));
        return EmbeddingWeight{std::move(rows)};
      }
      case Declaration::kNorm:
        return LoadNorm(d);
      case Declaration::kMoe:
        return LoadExperts(d);
      case Declaration::kConv:
        return LoadConv(d);
      case Declaration::kParam:
        return LoadParam(d);
      default:
        return std::monostate();
    }
  }

  // [out, in] of a linear, [rows, size] of an embedding: its own or that of the object it is tied to.
  absl::StatusOr<at::Tensor> Matrix(int index) {
    const Declaration& d = graph_.declarations(index);
    if (d.tied_to() != 0) {
      const int other = static_cast<int>(d.tied_to()) - 1;
      if (other >= graph_.declarations_size() || graph_.declarations(other).tied_to() != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat(d.name(), " is tied to object ", d.tied_to(), ", which owns no weights"));
      }
      return Tied(d, other);
    }
    at::Tensor& matrix = matrices_[index];
    if (!matrix.defined()) KEEL_RETURN_IF_ERROR(GetMatrix(d, &matrix));
    return matrix;
  }

  absl::Status GetMatrix(const Declaration& d, at::Tensor* out) {
    const std::vector<int64_t> shape =
        d.has_linear() ? std::vector<int64_t>{d.linear().out(), d.linear().in()}
                       : std::vector<int64_t>{d.embedding().rows(), d.embedding().size()};
    modules_.insert(d.name());
    return source_.Get(d.name() + ".weight", shape, options_.dtype, out, options_.keep_types);
  }

  // The matrix of `other`, unless the checkpoint has one of its own for `d` that differs: a fine-tune
  // that trained its head and left tie_word_embeddings as it was. transformers 5 takes it too.
  absl::StatusOr<at::Tensor> Tied(const Declaration& d, int other) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor shared, Matrix(other));
    modules_.insert(d.name());
    const bool has_own = source_.Contains(d.name() + ".weight");
    ties_.push_back(absl::StrCat(d.name(), ".weight is ", graph_.declarations(other).name(),
                                 ".weight",
                                 has_own ? ", unless the checkpoint's own differs from it" : ""));
    if (!shared.defined() || !has_own) return shared;
    at::Tensor own;
    KEEL_RETURN_IF_ERROR(GetMatrix(d, &own));
    if (contents_ == Contents::kShapes || HaveSameBits(own, shared)) return shared;
    warnings_.push_back(absl::StrCat(
        d.name(), ".weight is tied to ", graph_.declarations(other).name(),
        ".weight (tie_word_embeddings), but the checkpoint has another: that is used"));
    return own;
  }

  // A tensor of a declared module that nothing takes is a part of the model that would be missing;
  // others may belong to parts that are not wanted here.
  absl::Status CheckLeftovers(const std::string& dir) {
    const TensorSource::Leftovers left = source_.FindLeftovers(modules_);
    const std::string& architecture = graph_.spec().architecture();
    if (!left.of_modules.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(dir, ": ", architecture,
                       " declares these modules without these tensors of the checkpoint, "
                       "so its answers would be wrong: ",
                       FirstNames(left.of_modules),
                       "; declare them in the plugin (a linear's bias is a flag), or ignore them "
                       "by a rename rule"));
    }
    if (!left.others.empty()) {
      warnings_.push_back(absl::StrCat("tensors of the checkpoint that ", architecture,
                                       " does not use: ", FirstNames(left.others),
                                       "; a rename rule of the plugin can ignore them"));
    }
    return absl::OkStatus();
  }

  // Around `weight`, with the bias of that name.
  absl::StatusOr<ObjectWeights> Linear(const at::Tensor& weight, const std::string& name,
                                       int64_t out, bool has_bias) {
    modules_.insert(name);
    at::Tensor bias;
    if (has_bias) {
      KEEL_RETURN_IF_ERROR(source_.Get(name + ".bias", {out}, options_.dtype, &bias));
    }
    if (!weight.defined() || contents_ == Contents::kShapes) return std::monostate();
    return CatchAten([&]() -> absl::StatusOr<ObjectWeights> {
      return std::make_shared<const DenseLinear>(weight, bias, options_.numerics);
    });
  }

  absl::StatusOr<ObjectWeights> LoadNorm(const Declaration& d) {
    const proto::Norm& norm = d.norm();
    modules_.insert(d.name());
    NormWeight out;
    if (norm.no_weight()) return out;
    const DType dtype = options_.dtype;
    KEEL_RETURN_IF_ERROR(source_.Get(d.name() + ".weight", {norm.size()}, dtype, &out.weight));
    if (norm.bias()) {
      KEEL_RETURN_IF_ERROR(source_.Get(d.name() + ".bias", {norm.size()}, dtype, &out.bias));
    }
    if (norm.weight_offset() == 0 || !out.weight.defined() || contents_ == Contents::kShapes)
      return out;
    return CatchAten([&]() -> absl::StatusOr<ObjectWeights> {
      // Where the product is in fp32, the sum is too.
      if (norm.cast_last()) out.weight = out.weight.to(at::kFloat);
      out.weight = out.weight + norm.weight_offset();
      return out;
    });
  }

  absl::StatusOr<ObjectWeights> LoadExperts(const Declaration& d) {
    const proto::Moe& m = d.moe();
    if (m.experts() > static_cast<int64_t>(source_.size())) {
      return absl::InvalidArgumentError(absl::StrCat(d.name(), " declares ", m.experts(),
                                                     " experts, but the checkpoint has ",
                                                     source_.size(), " tensors in all"));
    }
    struct Part {
      const std::string& name;
      int64_t rows, columns;
      LinearPtr ExpertWeights::Mlp::*linear;
    };
    const Part parts[] = {
        {m.gate(), m.intermediate_size(), m.hidden_size(), &ExpertWeights::Mlp::gate},
        {m.up(), m.intermediate_size(), m.hidden_size(), &ExpertWeights::Mlp::up},
        {m.down(), m.hidden_size(), m.intermediate_size(), &ExpertWeights::Mlp::down}};
    ExpertWeights out;
    out.experts.resize(m.experts());
    for (int64_t e = 0; e < m.experts(); ++e) {
      for (const Part& part : parts) {
        if (part.name.empty()) continue;  // an MLP without a gate
        const std::string name =
            absl::StrCat(d.name(), ".", absl::StrReplaceAll(part.name, {{"{e}", absl::StrCat(e)}}));
        at::Tensor weight;
        KEEL_RETURN_IF_ERROR(source_.Get(name + ".weight", {part.rows, part.columns},
                                         options_.dtype, &weight, options_.keep_types));
        KEEL_ASSIGN_OR_RETURN(const ObjectWeights linear,
                              Linear(weight, name, part.rows, m.bias()));
        if (const auto* made = std::get_if<LinearPtr>(&linear)) out.experts[e].*part.linear = *made;
      }
    }
    if (!m.score_bias().empty()) {
      KEEL_RETURN_IF_ERROR(source_.Get(absl::StrCat(d.name(), ".", m.score_bias()), {m.experts()},
                                       DType::kF32, &out.score_bias));
    }
    return out;
  }

  absl::StatusOr<ObjectWeights> LoadConv(const Declaration& d) {
    const proto::Conv& c = d.conv();
    std::vector<int64_t> shape = {c.out(), c.in() / std::max<int64_t>(1, c.groups())};
    shape.insert(shape.end(), c.kernel().begin(), c.kernel().end());
    modules_.insert(d.name());
    ConvWeight out;
    KEEL_RETURN_IF_ERROR(source_.Get(d.name() + ".weight", shape, options_.dtype, &out.weight));
    if (c.bias()) {
      KEEL_RETURN_IF_ERROR(source_.Get(d.name() + ".bias", {c.out()}, options_.dtype, &out.bias));
    }
    return out;
  }

  absl::StatusOr<ObjectWeights> LoadParam(const Declaration& d) {
    const proto::Type& type = d.param().type();
    std::vector<int64_t> shape;
    for (const proto::Dim& dim : type.dims()) shape.push_back(dim.size());
    const DType dtype =
        type.dtype() == proto::MODEL ? options_.dtype : static_cast<DType>(type.dtype());
    ParamWeight out;
    KEEL_RETURN_IF_ERROR(source_.Get(d.name(), shape, dtype, &out.value));
    return out;
  }

  const proto::Graph& graph_;
  const WeightOptions& options_;
  const Contents contents_;
  TensorSource source_;
  std::vector<at::Tensor> matrices_;          // of linears and embeddings, once loaded
  absl::flat_hash_set<std::string> modules_;  // whose tensors the declarations list in full
  std::vector<std::string> warnings_;
  std::vector<std::string> ties_;
};

// A rank's part of one object. Throws c10::Error.
struct Sharder {
  const WeightSplit& split;
  const int part;

  template <typename T>
  ObjectWeights operator()(const T& /*whole*/) const {
    TORCH_CHECK(false, "only linears, embeddings, experts and parameters are split");
  }
  ObjectWeights operator()(const ParamWeight& whole) const {
    TORCH_CHECK(split.kind == WeightSplit::kRows, "a parameter is split by its first dimension");
    return ParamWeight{PartOf(whole.value, 0, split, part)};
  }
  ObjectWeights operator()(const EmbeddingWeight& whole) const {
    if (split.kind == WeightSplit::kColumns)
      return EmbeddingWeight{PartOf(whole.rows, 1, split, part)};
    const int64_t total = whole.rows.size(0);
    return EmbeddingWeight{PartOf(whole.rows, 0, split, part), part * (total / split.parts), total};
  }
  ObjectWeights operator()(const LinearPtr& whole) const { return whole->Shard(split, part); }
  ObjectWeights operator()(const ExpertWeights& whole) const {
    ExpertWeights own = whole;
    const size_t each = own.experts.size() / static_cast<size_t>(split.parts);
    for (size_t e = 0; e < own.experts.size(); ++e) {
      ExpertWeights::Mlp& mlp = own.experts[e];
      if (split.kind == WeightSplit::kExpertsApart) {
        if (e / each != static_cast<size_t>(part)) mlp = {};
        continue;
      }
      const WeightSplit rows{WeightSplit::kRows, split.parts},
          columns{WeightSplit::kColumns, split.parts};
      if (mlp.gate != nullptr) mlp.gate = mlp.gate->Shard(rows, part);
      mlp.up = mlp.up->Shard(rows, part);
      mlp.down = mlp.down->Shard(columns, part);
    }
    return own;
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Weights>> LoadWeights(
    const proto::Graph& graph, std::shared_ptr<const Checkpoint> checkpoint,
    const WeightOptions& options) {
  auto weights = std::make_shared<Weights>();
  weights->checkpoint = std::move(checkpoint);
  KEEL_ASSIGN_OR_RETURN(TensorSource source,
                        TensorSource::Create(graph.spec(), *weights->checkpoint, options.on_bytes));
  Loader loader(graph, options, std::move(source), Contents::kValues);
  KEEL_RETURN_IF_ERROR(loader.Load(weights.get()));
  return std::shared_ptr<const Weights>(std::move(weights));
}

absl::StatusOr<TensorComparison> CompareTensors(const proto::Graph& graph,
                                                std::shared_ptr<const Checkpoint> checkpoint,
                                                DType dtype) {
  KEEL_ASSIGN_OR_RETURN(TensorSource source, TensorSource::Create(graph.spec(), *checkpoint,
                                                                  nullptr, Contents::kShapes));
  const WeightOptions options{.dtype = dtype};
  return Loader(graph, options, std::move(source), Contents::kShapes).Compare();
}

absl::StatusOr<std::shared_ptr<const Weights>> ShardWeights(std::shared_ptr<const Weights> whole,
                                                            absl::Span<const WeightSplit> splits,
                                                            int rank, int ranks) {
  auto part = std::make_shared<Weights>(*whole);
  KEEL_RETURN_IF_ERROR(CatchAten([&]() -> absl::Status {
    for (size_t i = 0; i < splits.size(); ++i) {
      if (splits[i].kind == WeightSplit::kWhole) continue;
      if (splits[i].kind == WeightSplit::kNone) {
        part->objects[i] = std::monostate();
        continue;
      }
      const Sharder sharder{splits[i], splits[i].part_of(rank, ranks)};
      part->objects[i] = std::visit(sharder, whole->objects[i]);
    }
    return absl::OkStatus();
  }));
  return std::shared_ptr<const Weights>(std::move(part));
}

}  // namespace keel
