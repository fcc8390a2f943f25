// The named arguments that a model gives an attention or a recurrence.
#ifndef KEEL_CORE_EXEC_ARGS_H_
#define KEEL_CORE_EXEC_ARGS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/attention.h"
#include "core/graph/graph.pb.h"

namespace keel {

// Of OP_ATTENTION and OP_RECUR: see graph.proto. `first_int`: where in the node's ints they begin. `tensors`: the
// inputs behind the op's fixed operands.
inline std::vector<NamedArg> ReadArgs(const proto::Node& node, int first_int,
                                      absl::Span<const at::Tensor> tensors) {
  std::vector<NamedArg> args;
  int next_real = 0;
  for (int i = 0; i < node.names_size(); ++i) {
    NamedArg arg{node.names(i), {}, 0};
    const int64_t at = node.ints(first_int + i);
    if (at >= 0) {
      arg.tensor = tensors[at];
    } else {
      arg.number = node.reals(next_real++);
    }
    args.push_back(std::move(arg));
  }
  return args;
}

}  // namespace keel

#endif  // KEEL_CORE_EXEC_ARGS_H_
