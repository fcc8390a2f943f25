#include "core/kernels/attention_groups.h"

#include <algorithm>

namespace keel {

bool FindGroupRows(const int32_t* groups, const int32_t* cu_q, int64_t num_sequences,
                   std::vector<int32_t>* rows) {
  const int32_t begin = cu_q[0], end = cu_q[num_sequences];
  if (std::all_of(groups + begin, groups + end, [](int32_t group) { return group < 0; }))
    return false;
  rows->resize(2 * static_cast<size_t>(end));
  for (int64_t sequence = 0; sequence < num_sequences; ++sequence) {
    for (int32_t row = cu_q[sequence]; row < cu_q[sequence + 1];) {
      const int32_t first = row++;
      while (groups[first] >= 0 && row < cu_q[sequence + 1] && groups[row] == groups[first]) ++row;
      for (int32_t of = first; of < row; ++of) {
        (*rows)[2 * static_cast<size_t>(of)] = first;
        (*rows)[2 * static_cast<size_t>(of) + 1] = row;
      }
    }
  }
  return true;
}

}  // namespace keel
