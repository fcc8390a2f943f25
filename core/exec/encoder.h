// Runs a graph's encoder of one modality: a vision or audio tower with what follows it, recorded as a function of its own.
#ifndef KEEL_CORE_EXEC_ENCODER_H_
#define KEEL_CORE_EXEC_ENCODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/exec/features.h"
#include "core/exec/interpreter.h"
#include "core/graph/graph.pb.h"
#include "core/ops/ops.h"
#include "core/tensor/dtype.h"
#include "core/tensor/host_tensor.h"

namespace keel {

// The function that encodes a modality ("image"): "encode/image".
std::string EncoderName(absl::string_view modality);
bool IsEncoder(const proto::Function& function);

// One rank runs an encoder. UNIMPLEMENTED: the plan divided one of this rank's graph among several.
absl::Status CheckEncodersWhole(const proto::Graph& graph);

class Encoder {
 public:
  // A function of a graph that was verified and has this spec; both borrowed. It gives `rows_per_feature` rows for each
  // feature. `merges`: a run may take several items, where the spec says how; else each is encoded alone.
  Encoder(const proto::ModelSpec& spec, const proto::Function& function, int64_t rows_per_feature,
          bool merges);

  // Whether a run takes several items.
  bool merges() const { return merges_; }

  // A run on one item of media or several; the encoder outlives it.
  class Run {
   public:
    // Goes on for about `limit`, at least one node. Empty: it is not done. Another step may run in between.
    absl::StatusOr<FeatureList> Advance(OpRunner& ops, absl::Duration limit);

   private:
    friend class Encoder;
    Run(const Encoder& encoder, std::vector<int64_t> rows, NamedTensors merged,
        Interpreter::Pass pass)
        : encoder_(&encoder),
          rows_(std::move(rows)),
          merged_(std::move(merged)),
          pass_(std::move(pass)) {}

    absl::StatusOr<FeatureList> Split(const at::Tensor& rows) const;

    const Encoder* encoder_;
    std::vector<int64_t> rows_;  // of each item
    NamedTensors merged_;        // of several, which the pass looks into
    Interpreter::Pass pass_;
  };

  // Begins one on what a processor made of each item, by the function's names, borrowed; floating-point inputs of the
  // model's type are cast. INVALID_ARGUMENT names the input that is missing, unknown, or of another type or shape than
  // it declares; UNIMPLEMENTED: several items, and it takes one.
  absl::StatusOr<Run> Begin(DType dtype, absl::Span<const NamedTensors* const> items) const;

 private:
  const proto::ModelSpec& spec_;
  const Interpreter function_;
  const int64_t rows_per_feature_;
  const bool merges_;
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_ENCODER_H_
