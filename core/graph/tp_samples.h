// Models whose plans split each op that ranks can divide, to be run on one rank and on several.
#ifndef KEEL_CORE_GRAPH_TP_SAMPLES_H_
#define KEEL_CORE_GRAPH_TP_SAMPLES_H_

#include <string>
#include <vector>

#include "core/graph/testing.h"

namespace keel::testing {

struct TpSample {
  std::string name;  // the styles and ops that it is about
  TinyModel model;   // sound for 2 and 4 ranks
};

const std::vector<TpSample>& TpSamples();

}  // namespace keel::testing
#endif  // KEEL_CORE_GRAPH_TP_SAMPLES_H_
