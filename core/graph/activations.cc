#include "core/graph/activations.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/op_table.h"
#include "core/graph/types.h"

namespace keel {
namespace {

void Add(HeldElements& held, const HeldElements& other, int sign) {
  held.a_row += sign * other.a_row;
  held.besides += sign * other.besides;
}

// Too many elements to count are more than any bound, and few enough to add up.
constexpr int64_t kTooMany = int64_t{1} << 40;

HeldElements ElementsOf(const TensorType& type) {
  int64_t elements = 1;
  bool rows = false;
  for (const Extent& extent : type.dims) {
    rows |= extent.symbolic();
    if (__builtin_mul_overflow(elements, extent.size, &elements) || elements > kTooMany)
      elements = kTooMany;
  }
  return rows ? HeldElements{elements, 0} : HeldElements{0, elements};
}

std::vector<int> LastUses(const proto::Function& function, size_t values) {
  std::vector<int> last(values, -1);
  for (int i = 0; i < function.nodes_size(); ++i) {
    for (const uint32_t id : function.nodes(i).inputs()) {
      if (id != 0) last[id - 1] = i;
    }
  }
  return last;
}

}  // namespace

absl::StatusOr<HeldElements> MostHeld(const proto::Graph& graph, const proto::Function& function) {
  std::vector<HeldElements> values(function.inputs_size());  // those of the host
  for (const proto::Node& node : function.nodes()) {
    const bool of_file = node.op() == proto::OP_PARAM || node.op() == proto::OP_CONSTANT;
    for (const proto::Type& type : node.types()) {
      KEEL_ASSIGN_OR_RETURN(const TensorType parsed, FromProto(type));
      values.push_back(of_file ? HeldElements() : ElementsOf(parsed));
    }
  }
  const std::vector<int> last = LastUses(function, values.size());
  HeldElements held, most;
  for (int i = 0; i < function.nodes_size(); ++i) {
    const proto::Node& node = function.nodes(i);
    for (const uint32_t id : node.outputs()) Add(held, values[id - 1], 1);
    if (held.a_row > kMaxElementsARow || held.besides > kMaxElementsBesides) {
      return Bad(absl::StrCat("graph: ", Shown(function.name()), ", node ", i, " (",
                              NodeName(graph, node), "): ", held.a_row, " elements a row and ",
                              held.besides, " besides are held at once"),
                 absl::StrCat("at most ", kMaxElementsARow, " and ", kMaxElementsBesides));
    }
    most.a_row = std::max(most.a_row, held.a_row);
    most.besides = std::max(most.besides, held.besides);
    for (const uint32_t id : node.inputs()) {
      if (id == 0 || last[id - 1] != i) continue;
      Add(held, values[id - 1], -1);
      values[id - 1] = HeldElements();  // once, however often the node takes it
    }
    for (const uint32_t id : node.outputs()) {
      if (last[id - 1] < 0) Add(held, values[id - 1], -1);  // half of a top-k, the output
    }
  }
  return most;
}

}  // namespace keel
