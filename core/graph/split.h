// How a value lies over the ranks of tensor parallelism.
#ifndef KEEL_CORE_GRAPH_SPLIT_H_
#define KEEL_CORE_GRAPH_SPLIT_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/graph/axis.h"

namespace keel {

// Of n ranks, rank r holds part r * parts / n. So with fewer parts than ranks neighbours hold the
// same one: two heads of keys for four ranks.
struct Split {
  int dim = kNoAxis;  // kNoAxis: whole on every rank
  int parts = 1;
  // Equal runs that the dimension consists of, each of which is cut: a rank's part of gate and up
  // in one matrix is its part of gate, then its part of up.
  int packs = 1;

  bool whole() const { return dim == kNoAxis; }
  friend bool operator==(const Split&, const Split&) = default;
};

inline constexpr Split kWholeValue = {};

inline std::string ToString(const Split& split) {
  if (split.whole()) return "replicated";
  std::string text = absl::StrCat("split along dimension ", split.dim);
  if (split.packs > 1) absl::StrAppend(&text, " in ", split.packs, " packed runs");
  return text;
}

// Into as many parts as `heads` are there for `ranks`: all ranks', or one a head where there are
// fewer heads than ranks. 0: the two don't divide.
inline int PartsOfHeads(int64_t heads, int ranks) {
  if (heads % ranks == 0) return ranks;
  return heads > 0 && ranks % heads == 0 ? static_cast<int>(heads) : 0;
}

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_SPLIT_H_
