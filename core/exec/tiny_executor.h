// Executors of a tiny model with random weights, for tests that hold ways to run it against each other.
#ifndef KEEL_CORE_EXEC_TINY_EXECUTOR_H_
#define KEEL_CORE_EXEC_TINY_EXECUTOR_H_

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "core/attention/registry.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/graph/tp_samples.h"
#include "core/weights/testing.h"
#include "gtest/gtest.h"

namespace keel::testing {

// Records the model and writes its weights, once for all executors.
class TinyExecutors {
 public:
  explicit TinyExecutors(const TinyModel& model) {
    auto recorded = RecordTinyModel(model);
    EXPECT_TRUE(recorded.ok()) << recorded.status();
    if (recorded.ok()) graph_ = recorded->graph;
    auto written = WriteCheckpoint(dir_.path(), RandomTensors(graph_, 3));
    EXPECT_TRUE(written.ok()) << written.status();
    checkpoint_ = *std::move(written);
  }

  // In blocks of four tokens.
  absl::StatusOr<std::unique_ptr<Executor>> Load(ExecutorOptions options) const {
    options.block_size = 4;
    return Executor::Create(graph_, checkpoint_, registry_, options);
  }

 private:
  proto::Graph graph_;
  ScratchDir dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  AttentionRegistry registry_;
};

// The greatest, as a share of the greatest of `b`.
inline double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (at::abs(a - b).max() / at::abs(b).max()).item<double>();
}

}  // namespace keel::testing

#endif  // KEEL_CORE_EXEC_TINY_EXECUTOR_H_
