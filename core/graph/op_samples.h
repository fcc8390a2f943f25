// A use of each op in a model that runs, for tests that walk the op table.
#ifndef KEEL_CORE_GRAPH_OP_SAMPLES_H_
#define KEEL_CORE_GRAPH_OP_SAMPLES_H_

#include <vector>

#include "core/graph/testing.h"

namespace keel::testing {

struct OpSample {
  const char* name;  // the op's, and how it is used where one op has several samples
  TinyModel model;   // its layers use the op after their MLP
};

// Those of linear, norm, rope, attention, mark ... are the model itself. `call` has none: kernels
// of a plugin's own are not run.
const std::vector<OpSample>& OpSamples();

// A scale for each of 4 heads between two linears: `style` is the parameter's in the tp plan.
TinyModel ScaledHeads(const char* style);

}  // namespace keel::testing
#endif  // KEEL_CORE_GRAPH_OP_SAMPLES_H_
