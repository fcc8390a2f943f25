// A checkpoint with transformers' goldens, and the plugin or the graph file that serves it.
#ifndef KEEL_TESTS_PARITY_MODEL_UNDER_TEST_H_
#define KEEL_TESTS_PARITY_MODEL_UNDER_TEST_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/registry.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/safetensors.h"
#include "core/exec/executor.h"
#include "tests/recorded/recording.h"

namespace keel {

// One prompt: see tests/goldens/README.md.
struct Golden {
  std::vector<int32_t> prompt;
  at::Tensor logits;            // [prompt, vocab] f32
  std::vector<int32_t> greedy;  // what generate() goes on with
  // Of a model that gives vectors, instead: which of two texts each token is of, and its vector.
  std::vector<int32_t> types;
  at::Tensor vectors;  // [prompt, size] f32
  std::optional<PooledRows>
      pooled;  // of the prompt, whose one vector [1, size] it is; none: each token's
};

class ModelUnderTest {
 public:
  // Loads the plugin and records it for the checkpoint.
  static absl::StatusOr<std::unique_ptr<ModelUnderTest>> Open(const std::string& plugin,
                                                              const std::string& checkpoint_dir);

  // Takes the graph file `graph` in the plugin's place.
  static absl::StatusOr<std::unique_ptr<ModelUnderTest>> OpenGraph(
      const std::string& graph, const std::string& checkpoint_dir);

  const std::vector<Golden>& goldens() const { return goldens_; }
  bool gives_vectors() const { return goldens_.front().vectors.defined(); }
  const proto::Graph& graph() const { return recording_.model.graph; }

  // An executor in fp32 as `options` say, with a cache of `num_blocks` blocks of 16, and recurrent states if the
  // model has any.
  absl::StatusOr<std::unique_ptr<Executor>> NewExecutor(ExecutorOptions options, int32_t num_blocks,
                                                        int32_t num_state_slots);

 private:
  absl::Status ReadGoldens(const std::string& dir);

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<SafetensorsFile> golden_file_;
  std::vector<Golden> goldens_;
  AttentionRegistry attention_;
  Recording recording_;
};

}  // namespace keel

#endif  // KEEL_TESTS_PARITY_MODEL_UNDER_TEST_H_
