// What each recurrence takes: one row a kind (KEEL_RECUR_*), read by type inference and by sharding.
#ifndef KEEL_CORE_GRAPH_RECURRENCES_H_
#define KEEL_CORE_GRAPH_RECURRENCES_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace keel {

// A shape is a word with a letter a dimension: N the tokens; H what ranks may split, the state's
// first dimension; G groups, a divisor of H; T one more than K; others as in the state.
struct RecurOperand {
  absl::string_view name;
  absl::string_view shape;
  bool optional = false;
  absl::string_view or_shape = {};  // another that it may have instead, of another rank

  absl::string_view ShapeOfRank(int rank) const {
    return !or_shape.empty() && static_cast<int>(or_shape.size()) == rank ? or_shape : shape;
  }
};

struct RecurrenceRow {
  int64_t kind;
  uint32_t state_kind;
  absl::string_view state_text;  // as the header says it
  absl::string_view state;       // shapes
  RecurOperand x;
  absl::string_view out;
  std::vector<RecurOperand> args;
  std::vector<absl::string_view> numbers;  // arguments that are numbers, all optional

  // Null if it has no tensor argument of that name.
  const RecurOperand* FindArg(absl::string_view name) const;
};

const std::vector<RecurrenceRow>& Recurrences();

// Null for a kind that this host does not know.
const RecurrenceRow* FindRecurrence(int64_t kind);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_RECURRENCES_H_
