// Functions put together by hand, for tests of passes and plans.
#ifndef KEEL_CORE_COMPILE_TESTING_H_
#define KEEL_CORE_COMPILE_TESTING_H_

#include <string>
#include <utility>
#include <vector>

#include "core/compile/ir.h"
#include "core/graph/graph.pb.h"

namespace keel::ir::testing {

inline const Extent kN{1, kTokens, 1}, kR{1, kRows, 1};

// A function of inputs x, y ... over values [N, size] of f32, and a graph whose object i is named "a", "b" ...
class Builder {
 public:
  Builder() {
    for (char name = 'a'; name <= 'z'; ++name) graph.add_declarations()->set_name({name});
  }

  static TensorType Rows(int64_t size) { return {proto::F32, {kN, {size, "", 1}}}; }
  ValueId Input(const char* name, int64_t size) { return AddInput(function, name, Rows(size)); }

  // An op that gives [N, size].
  ValueId Add(Code code, proto::Node node, std::vector<ValueId> inputs, int64_t size) {
    Op op{code, std::move(node), std::move(inputs), {AddValue(function, Rows(size))}, {}};
    if (code == Code::kLinears) op.objects.push_back(op.node.object());
    function.ops.push_back(std::move(op));
    return function.ops.back().outputs[0];
  }
  ValueId Node(proto::Node node, std::vector<ValueId> inputs, int64_t size) {
    return Add(Code::kNode, std::move(node), std::move(inputs), size);
  }
  ValueId Linear(char name, ValueId x, int64_t size) {
    proto::Node node;
    node.set_op(proto::OP_LINEAR);
    node.set_object(static_cast<uint32_t>(name - 'a' + 1));
    return Add(Code::kLinears, std::move(node), {x}, size);
  }
  ValueId Sum(ValueId a, ValueId b, int64_t size) {
    proto::Node node;
    node.set_op(proto::OP_ADD);
    return Node(std::move(node), {a, b}, size);
  }
  std::string Text() const { return ToString(function, graph); }

  Function function;
  proto::Graph graph;
};

}  // namespace keel::ir::testing
#endif  // KEEL_CORE_COMPILE_TESTING_H_
