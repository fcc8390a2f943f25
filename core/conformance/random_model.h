// A model's graph with random weights on disk, for checks that compute.
#ifndef KEEL_CORE_CONFORMANCE_RANDOM_MODEL_H_
#define KEEL_CORE_CONFORMANCE_RANDOM_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"

namespace keel::conformance {

class RandomModel {
 public:
  // Errors say why it can't be computed here: its sizes are not tiny ones.
  static absl::StatusOr<std::unique_ptr<RandomModel>> Create(const proto::Graph& graph,
                                                             uint64_t seed);
  ~RandomModel();
  RandomModel(const RandomModel&) = delete;
  RandomModel& operator=(const RandomModel&) = delete;

  // Without renames, which are about a checkpoint's names: the random one has the declared ones.
  const proto::Graph& graph() const { return graph_; }
  const std::shared_ptr<const Checkpoint>& checkpoint() const { return checkpoint_; }

 private:
  RandomModel(std::string dir, proto::Graph graph);

  const std::string dir_;
  proto::Graph graph_;
  std::shared_ptr<const Checkpoint> checkpoint_;
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_RANDOM_MODEL_H_
