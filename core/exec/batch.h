// The packed batch of one step: what the scheduler decided, as the executor takes it.
#ifndef KEEL_CORE_EXEC_BATCH_H_
#define KEEL_CORE_EXEC_BATCH_H_

#include <cstdint>
#include <memory>
#include <vector>

namespace keel {

class Features;

// One sequence's part of a step: its next `num_tokens` tokens, from position `num_computed` on.
struct BatchSequence {
  int32_t num_computed = 0;  // tokens whose keys and values are in the cache
  int32_t num_tokens = 0;    // tokens of this step, >= 1
  int32_t state_slot = -1;   // where its recurrent states live; -1: the model has none
  // [group of layers][i]: cache blocks, for num_computed + num_tokens tokens at least; kNoBlock for those that no token
  // of this step sees.
  std::vector<std::vector<int32_t>> blocks = {};
  int32_t prompt_tokens =
      0;  // tokens of its prompt: rope that goes by the length of a text goes by them
};

// Rows [first, first + num) of token_ids, whose hidden states become one vector: that of their mean.
struct PooledRows {
  int32_t first = 0, num = 1;
};

// Rows [row, row + num) of token_ids, placeholders of an item of media, whose embeddings are rows [first, first + num) of
// its features instead.
struct FeatureRows {
  int32_t row = 0, num = 0;
  int64_t first = 0;
  std::shared_ptr<const Features> features = nullptr;
};

// N tokens of S sequences, in order of sequence.
struct Batch {
  std::vector<int32_t> token_ids;         // [N]
  std::vector<BatchSequence> sequences;   // [S]
  std::vector<int32_t> logit_rows;        // rows of token_ids whose logits are wanted, ascending
  std::vector<PooledRows> pooled = {};    // instead of logit_rows, where vectors are wanted
  std::vector<int32_t> token_types = {};  // [N], for models that read them; empty: all 0
  // [N], for models that take them: tokens of a sequence with one number of 0 or more see each other, and are all in this
  // batch, side by side; empty: all -1
  std::vector<int32_t> groups = {};
  std::vector<FeatureRows> features = {};
  // [axes, N] (M-RoPE), for models whose tokens are not where they stand in their sequence; empty: all are
  std::vector<int64_t> positions = {};
};

}  // namespace keel
#endif  // KEEL_CORE_EXEC_BATCH_H_
