// The named arguments that a model gives an attention or a recurrence.
#ifndef KEEL_CORE_OPS_ARGS_H_
#define KEEL_CORE_OPS_ARGS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/attention.h"
#include "core/graph/graph.pb.h"
#include "core/graph/op_attributes.h"

namespace keel {

// Of OP_ATTENTION and OP_RECUR. `inputs`: all of the node's.
inline std::vector<NamedArg> ReadArgs(const proto::Node& node,
                                      absl::Span<const at::Tensor> inputs) {
  const op::Arguments given(node);
  std::vector<NamedArg> args;
  for (int i = 0; i < given.size(); ++i) {
    NamedArg arg{given.name(i), {}, 0};
    if (given.operand(i).has_value()) {
      arg.tensor = inputs[*given.operand(i)];
    } else {
      arg.number = given.number(i);
    }
    args.push_back(std::move(arg));
  }
  return args;
}

}  // namespace keel

#endif  // KEEL_CORE_OPS_ARGS_H_
