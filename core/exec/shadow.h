// An eager run held against the recorded function: each op that the plugin calls must be the
// graph's next node, with the same attributes and operands, and give what the graph's node gives. A
// recurrence, and a kernel of the plugin's over states, run once: their results are taken over. A
// kernel without states runs twice, so that one that keeps something between calls is found.
#ifndef KEEL_CORE_EXEC_SHADOW_H_
#define KEEL_CORE_EXEC_SHADOW_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/exec/eager.h"
#include "core/graph/graph.pb.h"

namespace keel {

class ShadowRun : public EagerRun {
 public:
  // `expected` is borrowed. Values may differ by `tolerance` times the largest of them.
  ShadowRun(OpRunner& ops, const proto::Function& expected, double tolerance = 1e-5);

  // After the run: all of the graph's nodes were met, and `output` is the graph's.
  absl::Status CheckEnd(const at::Tensor& output) const;

 protected:
  // kFailedPrecondition at the first difference, naming the node.
  absl::Status OnNode(const proto::Node& node, int index) override;

 private:
  absl::Status CompareNode(const proto::Node& actual, const proto::Node& expected) const;
  absl::Status RunExpected(const proto::Node& actual, const proto::Node& expected);
  absl::Status CompareValues(const proto::Node& actual, const proto::Node& expected) const;

  const proto::Function& expected_;
  const double tolerance_;
  std::vector<at::Tensor> graph_values_;  // value i of the graph's own run; 0 is not given
  int nodes_met_ = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_SHADOW_H_
