// What a processor made of an item of media, held against what its encoder declares: names, types, shapes, and how large the
// symbols in those are. Needs no tensor library.
#ifndef KEEL_CORE_GRAPH_ENCODER_INPUTS_H_
#define KEEL_CORE_GRAPH_ENCODER_INPUTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/host_tensor.h"

namespace keel {

using SymbolSizes = std::map<std::string, int64_t>;  // {"S1", 64}

// The sizes of the symbols of `encode`, a function of a verified graph, for an item. Where it declares the model's type, any
// floating-point one will do. INVALID_ARGUMENT names the input that is missing, unknown, or of another type or shape.
absl::StatusOr<SymbolSizes> CheckInputs(const proto::Function& encode, const NamedTensors& inputs);

// How many rows `encode` gives of an item of these sizes.
absl::StatusOr<int64_t> RowsOfEncode(const proto::Function& encode, const SymbolSizes& sizes);

}  // namespace keel

#endif  // KEEL_CORE_GRAPH_ENCODER_INPUTS_H_
