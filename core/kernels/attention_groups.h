// Groups of tokens that see each other, as attention's argument `groups` numbers them, by the rows that they are.
#ifndef KEEL_CORE_KERNELS_ATTENTION_GROUPS_H_
#define KEEL_CORE_KERNELS_ATTENTION_GROUPS_H_

#include <cstdint>
#include <vector>

namespace keel {

// Fills `rows`, [tokens, 2], with the first row and the end of each token's group: the run of equal numbers that it
// stands in within its sequence, or itself alone where its number is negative. False, and `rows` is left as it is, where
// no token has a group. `cu_q`, [num_sequences + 1], says where sequences begin.
bool FindGroupRows(const int32_t* groups, const int32_t* cu_q, int64_t num_sequences,
                   std::vector<int32_t>* rows);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ATTENTION_GROUPS_H_
