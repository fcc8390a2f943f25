// What a plugin computes for one prompt, in fp32: logits, greedy tokens, and what the model holds
// after each of its layers. For an author who looks for the layer where the numbers part from
// transformers' (compare.py).
#ifndef KEEL_TESTS_PARITY_TRACE_H_
#define KEEL_TESTS_PARITY_TRACE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/registry.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "tests/recorded/recording.h"

namespace keel {

// `graph` with a forward that ends where the layer `index` is marked to end: what the rest of it
// goes on with becomes the hidden states, and lm_head is applied to them as it is, without scale
// and softcap. NOT_FOUND: no such layer is marked; UNIMPLEMENTED: it leaves more than one tensor.
absl::StatusOr<proto::Graph> GraphUpToLayer(const proto::Graph& graph, int index);

class Tracer {
 public:
  // Records `plugin` for the checkpoint in `dir`.
  static absl::StatusOr<std::unique_ptr<Tracer>> Open(const std::string& plugin,
                                                      const std::string& dir);

  int64_t num_layers() const { return recording_.model.graph.spec().num_layers(); }

  // [prompt, vocab] f32.
  absl::StatusOr<at::Tensor> Logits(const std::vector<int32_t>& prompt) const;
  // lm_head of what layer `index` leaves, [prompt, vocab] f32.
  absl::StatusOr<at::Tensor> LayerLogits(const std::vector<int32_t>& prompt, int index) const;
  // The `n` tokens that follow, each the likeliest.
  absl::StatusOr<std::vector<int32_t>> Greedy(const std::vector<int32_t>& prompt, int n) const;

 private:
  std::shared_ptr<const Checkpoint> checkpoint_;
  Recording recording_;
  AttentionRegistry attention_;
};

}  // namespace keel
#endif  // KEEL_TESTS_PARITY_TRACE_H_
