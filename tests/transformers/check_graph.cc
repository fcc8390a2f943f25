// Arguments: a graph file, and the directory of a checkpoint with transformers' goldens
// (tests/goldens/README.md). Runs the graph in the compiled engine, fp32, in several ways, and prints a line a way:
//   WAY DIFFERENCE TOKENS
// the largest difference of the logits of any prompt position, in units of the largest logit, and whether the greedy
// tokens are the "same" or "other"; of a model that gives vectors, the largest of those and "same", and no chunks if its
// tokens see those that follow. Exits with 0 if every way is equal, with 1 if not, with 2 if it cannot be run.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/exec/executor.h"
#include "core/graph/stages.h"
#include "tests/parity/model_under_test.h"
#include "tests/parity/streams.h"

namespace keel {
namespace {

struct Way {
  const char* name;
  bool together;  // all prompts in one batch
  int32_t chunk;
};

constexpr int32_t kWhole = 512;
constexpr Way kWays[] = {
    {"whole", false, kWhole},
    {"chunked", false, 5},
    {"batched", true, kWhole},
    {"batched-chunked", true, 7},
};

absl::StatusOr<Deviation> Run(ModelUnderTest& model, Executor& executor, const Way& way) {
  std::vector<std::vector<const Golden*>> batches;
  for (const Golden& golden : model.goldens()) {
    if (batches.empty() || !way.together) batches.emplace_back();
    batches.back().push_back(&golden);
  }
  Deviation worst{0, true};
  for (const auto& batch : batches) {
    KEEL_ASSIGN_OR_RETURN(const std::vector<Stream> streams,
                          RunStreams(executor, batch, way.chunk));
    for (const Stream& stream : streams) {
      KEEL_ASSIGN_OR_RETURN(const Deviation own, DeviationOf(stream));
      // In this order a NaN stays.
      worst.logits = own.logits <= worst.logits ? worst.logits : own.logits;
      worst.same_tokens &= own.same_tokens;
    }
  }
  return worst;
}

absl::StatusOr<bool> Check(const std::string& graph, const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(const auto model, ModelUnderTest::OpenGraph(graph, dir));
  KEEL_ASSIGN_OR_RETURN(const auto executor, model->NewExecutor({}, kBlocks, kStateSlots));
  bool equal = true;
  for (const Way& way : kWays) {
    if (way.chunk < kWhole && SeesAhead(model->graph())) continue;
    KEEL_ASSIGN_OR_RETURN(const Deviation found, Run(*model, *executor, way));
    std::printf("%s %.1e %s\n", way.name, found.logits, found.same_tokens ? "same" : "other");
    equal &= found.logits <= kLogitTolerance && found.same_tokens;
  }
  return equal;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s graph-file checkpoint-dir\n", argv[0]);
    return 2;
  }
  const auto equal = keel::Check(argv[1], argv[2]);
  if (equal.ok()) return *equal ? 0 : 1;
  std::fprintf(stderr, "%s\n", std::string(equal.status().message()).c_str());
  return 2;
}
