// What a model's declarations own, one kind of object each, found in a checkpoint.
//
// A tensor of the wanted type is used where it lies in the mapped file, without a copy; others are
// cast. With several ranks, each gets views of its shards.
#ifndef KEEL_CORE_WEIGHTS_WEIGHTS_H_
#define KEEL_CORE_WEIGHTS_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/graph/sharding.h"
#include "core/kernels/numerics.h"
#include "core/tensor/dtype.h"
#include "core/weights/linear_weight.h"
#include "core/weights/tensor_source.h"

namespace keel {

using LinearPtr = std::shared_ptr<const LinearWeight>;

struct EmbeddingWeight {
  at::Tensor rows;  // [rows, size]; of any float type: what is looked up is cast
  // Of a rank's part of the rows: the id of the first, and how many there are in all. Ids of other
  // parts give zeros.
  std::optional<int64_t> first = std::nullopt;
  int64_t total = 0;
};
struct NormWeight {
  at::Tensor weight;  // [size], weight_offset added; undefined without one
  at::Tensor bias;    // [size], or undefined
};
struct ConvWeight {
  at::Tensor weight;  // [out, in / groups, kernel...]
  at::Tensor bias;    // [out], or undefined
};
struct ParamWeight {
  at::Tensor value;
};
struct ExpertWeights {
  struct Mlp {
    LinearPtr gate, up, down;  // gate: null without one; all null: an expert of another rank
  };
  std::vector<Mlp> experts;
  at::Tensor score_bias;  // f32 [experts], or undefined
};

// The first for what owns no weights: rope, attention, state.
using ObjectWeights = std::variant<std::monostate, LinearPtr, EmbeddingWeight, NormWeight,
                                   ConvWeight, ParamWeight, ExpertWeights>;

struct Weights {
  std::vector<ObjectWeights> objects;            // object i is objects[i - 1]
  std::vector<std::string> warnings;             // what a user should know
  std::shared_ptr<const Checkpoint> checkpoint;  // what views point into

  // Object `object`, which must be of that kind. Throws c10::Error.
  template <typename T>
  const T& of(uint32_t object) const {
    TORCH_CHECK(object >= 1 && object <= objects.size(), "object ", object, " is not declared");
    const T* weights = std::get_if<T>(&objects[object - 1]);
    TORCH_CHECK(weights != nullptr, "object ", object, " has no such weights");
    return *weights;
  }
  const LinearWeight& linear(uint32_t object) const { return *of<LinearPtr>(object); }
};

struct WeightOptions {
  DType dtype = DType::kF32;  // of all but params that declare their own
  Numerics numerics = Numerics::kFastest;
  // Matrices of linears, experts and embeddings stay in the checkpoint's type: PackLinears takes them so.
  bool keep_types = false;
  TensorSource::OnBytes on_bytes = {};  // may be null
};

// Loads what `graph` declares. Errors:
//   kNotFound         the first five tensors that are missing, and how many more
//   kInvalidArgument  a tensor whose shape is not what its declaration says, with both; tensors of a
//                     declared module that its declaration does not take
absl::StatusOr<std::shared_ptr<const Weights>> LoadWeights(
    const proto::Graph& graph, std::shared_ptr<const Checkpoint> checkpoint,
    const WeightOptions& options);

// What a graph declares and what a checkpoint has, side by side.
struct TensorComparison {
  std::vector<std::string> missing;   // declared names that the checkpoint has not
  std::vector<absl::Status> unfit;    // of another shape or type than declared
  std::vector<std::string> leftover;  // in the checkpoint, of declared modules, but not declared
  std::vector<std::string> unused;    // in the checkpoint, of no declared module
  std::vector<std::string> ties;      // "lm_head.weight is model.embed_tokens.weight"
};

// Compares names, shapes and types by LoadWeights' own rules, and reads no weight. Errors: rename
// rules that can't be applied, declarations that don't hold together.
absl::StatusOr<TensorComparison> CompareTensors(const proto::Graph& graph,
                                                std::shared_ptr<const Checkpoint> checkpoint,
                                                DType dtype);

// The part of `whole` that `rank` of `ranks` runs on, as views.
absl::StatusOr<std::shared_ptr<const Weights>> ShardWeights(std::shared_ptr<const Weights> whole,
                                                            absl::Span<const WeightSplit> splits,
                                                            int rank, int ranks);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_WEIGHTS_H_
