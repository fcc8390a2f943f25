#include "core/exec/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/exec/renames.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr size_t kNamesInMessage = 5;

// Buffers that old files carry and nobody needs.
bool IsIgnorable(absl::string_view name) {
  for (absl::string_view suffix : {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                   ".attention.bias", ".attention.masked_bias", "position_ids"}) {
    if (absl::EndsWith(name, suffix)) return true;
  }
  return false;
}

// The tensor where it lies in the file; a copy only if its bytes are not aligned to its elements.
absl::StatusOr<at::Tensor> ViewOf(const TensorView& view) {
  const std::optional<at::ScalarType> type = ToScalarType(view.dtype);
  if (!type) {
    return absl::UnimplementedError(
        absl::StrCat(view.name, ": tensors of type ", TorchName(view.dtype), " are not served"));
  }
  return CatchAten([&] {
    void* data = const_cast<uint8_t*>(view.data);  // mapped read-only, never written
    if (reinterpret_cast<uintptr_t>(data) % BytesOf(view.dtype) == 0) {
      return at::from_blob(data, view.shape, at::TensorOptions().dtype(*type));
    }
    at::Tensor copy = at::empty(view.shape, *type);
    std::memcpy(copy.data_ptr(), data, view.bytes);
    return copy;
  });
}

class Loader {
 public:
  Loader(const proto::Graph& graph, const Checkpoint& checkpoint, DType dtype,
         const std::function<void(int64_t, int64_t)>& on_bytes)
      : graph_(graph), checkpoint_(checkpoint), dtype_(dtype), on_bytes_(on_bytes) {}

  absl::Status Plan() {
    std::vector<const proto::ModelSpec::Rename*> rules;
    for (const auto& rule : graph_.spec().renames()) rules.push_back(&rule);
    KEEL_ASSIGN_OR_RETURN(recipes_, PlanTensors(checkpoint_.names(), rules));
    return absl::OkStatus();
  }

  absl::Status Load(Weights* weights) {
    weights->objects.resize(graph_.declarations_size());
    for (int i = 0; i < graph_.declarations_size(); ++i) {
      KEEL_RETURN_IF_ERROR(LoadObject(graph_.declarations(i), &weights->objects[i]));
    }
    if (!missing_.empty()) return MissingError();
    KEEL_RETURN_IF_ERROR(LinkTied(weights));
    weights->warnings = Unused();
    return absl::OkStatus();
  }

 private:
  absl::Status LoadObject(const Declaration& d, ObjectWeights* out) {
    switch (d.kind_case()) {
      case Declaration::kLinear:
        if (d.tied_to() == 0) {
          KEEL_RETURN_IF_ERROR(
              Get(d.name() + ".weight", {d.linear().out(), d.linear().in()}, dtype_, &out->weight));
        }
        if (!d.linear().bias()) return absl::OkStatus();
        return Get(d.name() + ".bias", {d.linear().out()}, dtype_, &out->bias);
      case Declaration::kEmbedding:
        if (d.tied_to() != 0) return absl::OkStatus();
        return Get(d.name() + ".weight", {d.embedding().rows(), d.embedding().size()}, dtype_,
                   &out->weight);
      case Declaration::kNorm:
        return LoadNorm(d, out);
      case Declaration::kMoe:
        return LoadMoe(d, out);
      case Declaration::kConv:
        return LoadConv(d, out);
      case Declaration::kParam:
        return LoadParam(d, out);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status LoadNorm(const Declaration& d, ObjectWeights* out) {
    const proto::Norm& norm = d.norm();
    if (norm.no_weight()) return absl::OkStatus();
    KEEL_RETURN_IF_ERROR(Get(d.name() + ".weight", {norm.size()}, dtype_, &out->weight));
    if (norm.bias())
      KEEL_RETURN_IF_ERROR(Get(d.name() + ".bias", {norm.size()}, dtype_, &out->bias));
    if (norm.weight_offset() == 0 || !out->weight.defined()) return absl::OkStatus();
    return CatchAten([&]() -> absl::Status {
      // Where the product is in fp32, the sum is too.
      if (norm.cast_last()) out->weight = out->weight.to(at::kFloat);
      out->weight = out->weight + norm.weight_offset();
      return absl::OkStatus();
    });
  }

  absl::Status LoadMoe(const Declaration& d, ObjectWeights* out) {
    const proto::Moe& m = d.moe();
    struct Part {
      const std::string& name;
      int64_t rows, columns;
      std::vector<at::Tensor>*weights, *biases;
    };
    const Part parts[] = {
        {m.gate(), m.intermediate_size(), m.hidden_size(), &out->gate, &out->gate_bias},
        {m.up(), m.intermediate_size(), m.hidden_size(), &out->up, &out->up_bias},
        {m.down(), m.hidden_size(), m.intermediate_size(), &out->down, &out->down_bias}};
    for (const Part& part : parts) {
      if (part.name.empty()) continue;  // an MLP without a gate
      for (int64_t e = 0; e < m.experts(); ++e) {
        const std::string name =
            absl::StrCat(d.name(), ".", absl::StrReplaceAll(part.name, {{"{e}", absl::StrCat(e)}}));
        part.weights->emplace_back();
        KEEL_RETURN_IF_ERROR(
            Get(name + ".weight", {part.rows, part.columns}, dtype_, &part.weights->back()));
        if (!m.bias()) continue;
        part.biases->emplace_back();
        KEEL_RETURN_IF_ERROR(Get(name + ".bias", {part.rows}, dtype_, &part.biases->back()));
      }
    }
    if (m.score_bias().empty()) return absl::OkStatus();
    return Get(absl::StrCat(d.name(), ".", m.score_bias()), {m.experts()}, DType::kF32,
               &out->score_bias);
  }

  absl::Status LoadConv(const Declaration& d, ObjectWeights* out) {
    const proto::Conv& c = d.conv();
    std::vector<int64_t> shape = {c.out(), c.in() / std::max<int64_t>(1, c.groups())};
    shape.insert(shape.end(), c.kernel().begin(), c.kernel().end());
    KEEL_RETURN_IF_ERROR(Get(d.name() + ".weight", shape, dtype_, &out->weight));
    if (!c.bias()) return absl::OkStatus();
    return Get(d.name() + ".bias", {c.out()}, dtype_, &out->bias);
  }

  absl::Status LoadParam(const Declaration& d, ObjectWeights* out) {
    const proto::Type& type = d.param().type();
    std::vector<int64_t> shape;
    for (const proto::Dim& dim : type.dims()) shape.push_back(dim.size());
    const DType dtype = type.dtype() == proto::MODEL ? dtype_ : static_cast<DType>(type.dtype());
    return Get(d.name(), shape, dtype, &out->weight);
  }

  // The recipe for `name`, with the base model's prefix added or taken away if need be.
  const TensorRecipe* FindRecipe(const std::string& name) const {
    auto found = recipes_.find(name);
    if (found != recipes_.end()) return &found->second;
    const std::string prefix = graph_.spec().base_model_prefix() + ".";
    if (prefix == ".") return nullptr;
    found = absl::StartsWith(name, prefix)
                ? recipes_.find(std::string(absl::StripPrefix(name, prefix)))
                : recipes_.find(prefix + name);
    return found == recipes_.end() ? nullptr : &found->second;
  }

  absl::StatusOr<at::Tensor> Read(const std::string& name) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* view, checkpoint_.Find(name));
    if (used_.insert(name).second) {
      bytes_done_ += static_cast<int64_t>(view->bytes);
      if (on_bytes_) on_bytes_(bytes_done_, checkpoint_.weight_bytes());
    }
    return ViewOf(*view);
  }

  absl::Status Get(const std::string& name, const std::vector<int64_t>& shape, DType dtype,
                   at::Tensor* out) {
    const TensorRecipe* recipe = FindRecipe(name);
    if (recipe == nullptr) {
      missing_.push_back(name);
      return absl::OkStatus();
    }
    KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, MakeTensor(*recipe, [this](const std::string& source) {
                            return Read(source);
                          }));
    if (tensor.sizes() != at::IntArrayRef(shape)) {
      return absl::InvalidArgumentError(
          absl::StrCat(checkpoint_.dir(), ": ", absl::StrJoin(recipe->sources, ", "), " is ",
                       TensorString(tensor), ", expected ", ShapeString(shape), " for ", name));
    }
    const std::optional<at::ScalarType> type = ToScalarType(dtype);
    if (!type) return absl::UnimplementedError(absl::StrCat(name, ": no tensors of this type"));
    absl::StatusOr<at::Tensor> cast = CatchAten([&] { return tensor.to(*type); });
    if (!cast.ok()) return Annotate(cast.status(), name);
    *out = *std::move(cast);
    return absl::OkStatus();
  }

  absl::Status LinkTied(Weights* weights) const {
    for (int i = 0; i < graph_.declarations_size(); ++i) {
      const Declaration& d = graph_.declarations(i);
      if (d.tied_to() == 0) continue;
      if (d.tied_to() > weights->objects.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(d.name(), " is tied to object ", d.tied_to(), ", which is not declared"));
      }
      weights->objects[i].weight = weights->objects[d.tied_to() - 1].weight;
    }
    return absl::OkStatus();
  }

  absl::Status MissingError() const {
    const size_t shown = std::min(missing_.size(), kNamesInMessage);
    const std::string names =
        absl::StrJoin(missing_.begin(), missing_.begin() + static_cast<int64_t>(shown), ", ");
    return absl::NotFoundError(absl::StrCat(
        checkpoint_.dir(), ": ", missing_.size(), " of the tensors that ",
        graph_.spec().architecture(), " declares are not in the checkpoint: ", names,
        missing_.size() > shown ? absl::StrCat(" and ", missing_.size() - shown, " more") : "",
        "; download it again, or add renames to the plugin if they have other names there"));
  }

  std::vector<std::string> Unused() const {
    std::vector<std::string> unused;
    for (const auto& [name, recipe] : recipes_) {
      for (const std::string& source : recipe.sources) {
        if (!used_.count(source) && !IsIgnorable(source)) unused.push_back(source);
      }
    }
    std::sort(unused.begin(), unused.end());
    unused.erase(std::unique(unused.begin(), unused.end()), unused.end());
    return unused;
  }

  const proto::Graph& graph_;
  const Checkpoint& checkpoint_;
  const DType dtype_;
  const std::function<void(int64_t, int64_t)>& on_bytes_;
  std::map<std::string, TensorRecipe> recipes_;
  std::set<std::string> used_;
  std::vector<std::string> missing_;
  int64_t bytes_done_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Weights>> LoadWeights(
    const proto::Graph& graph, std::shared_ptr<const Checkpoint> checkpoint, DType dtype,
    const std::function<void(int64_t done, int64_t total)>& on_bytes) {
  auto weights = std::make_shared<Weights>();
  weights->checkpoint = std::move(checkpoint);
  Loader loader(graph, *weights->checkpoint, dtype, on_bytes);
  absl::Status status = loader.Plan();
  if (status.ok()) status = loader.Load(weights.get());
  if (!status.ok()) return status;
  return std::shared_ptr<const Weights>(std::move(weights));
}

namespace {

// A rank's part of `dim` of each tensor.
void Narrow(std::vector<at::Tensor>& tensors, int64_t dim, int rank, int ranks) {
  for (at::Tensor& tensor : tensors) {
    const int64_t size = tensor.size(dim) / ranks;
    tensor = tensor.narrow(dim, rank * size, size);
  }
}

void ShardExperts(ObjectWeights& w, int rank, int ranks) {
  for (auto* rows : {&w.gate, &w.up, &w.gate_bias, &w.up_bias}) Narrow(*rows, 0, rank, ranks);
  Narrow(w.down, 1, rank, ranks);
  if (rank != 0) w.down_bias.clear();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Weights>> ShardWeights(std::shared_ptr<const Weights> whole,
                                                            absl::Span<const WeightSplit> splits,
                                                            int rank, int ranks) {
  if (ranks == 1) return whole;
  auto part = std::make_shared<Weights>(*whole);
  absl::Status status = CatchAten([&]() -> absl::Status {
    for (size_t i = 0; i < splits.size(); ++i) {
      if (splits[i] == WeightSplit::kWhole) continue;
      ObjectWeights& w = part->objects[i];
      if (splits[i] == WeightSplit::kExperts) {
        ShardExperts(w, rank, ranks);
        continue;
      }
      const int64_t dim = splits[i] == WeightSplit::kRows ? 0 : 1;
      const int64_t size = w.weight.size(dim) / ranks;
      w.weight = w.weight.narrow(dim, rank * size, size);
      if (!w.bias.defined()) continue;
      if (splits[i] == WeightSplit::kRows) {
        w.bias = w.bias.narrow(0, rank * size, size);
      } else if (rank != 0) {
        w.bias = at::Tensor();
      }
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return std::shared_ptr<const Weights>(std::move(part));
}

}  // namespace keel
