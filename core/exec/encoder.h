// Runs a graph's encoder of one modality: a vision or audio tower with what follows it, recorded as a function of its own.
#ifndef KEEL_CORE_EXEC_ENCODER_H_
#define KEEL_CORE_EXEC_ENCODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
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
  // A function of a graph that was verified; borrowed. It gives `rows_per_feature` rows for each feature.
  explicit Encoder(const proto::Function& function, int64_t rows_per_feature = 1)
      : function_(function), rows_per_feature_(rows_per_feature) {}

  // A run on one item of media; the encoder outlives it.
  class Run {
   public:
    // Goes on for about `limit`, at least one node. Null: it is not done. Another step may run in between.
    absl::StatusOr<std::shared_ptr<const Features>> Advance(OpRunner& ops, absl::Duration limit);

   private:
    friend class Encoder;
    Run(const Encoder& encoder, Interpreter::Pass pass)
        : encoder_(&encoder), pass_(std::move(pass)) {}

    const Encoder* encoder_;
    Interpreter::Pass pass_;
  };

  // Begins one on what a processor made of an item, by the function's names, borrowed; floating-point inputs of the
  // model's type are cast. INVALID_ARGUMENT names the input that is missing, unknown, or of another type or shape than
  // it declares.
  absl::StatusOr<Run> Begin(DType dtype, const NamedTensors& inputs) const;

 private:
  const Interpreter function_;
  const int64_t rows_per_feature_;
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_ENCODER_H_
