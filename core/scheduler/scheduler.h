// Decides each step: who runs, how many tokens, in which blocks. Integers only: no tensor, clock, thread or tokenizer.
//
// There are no phases. Every sequence has tokens and a count of those that are computed; a step gives each a number of
// tokens to catch up by, under one budget. Prefill is a long way to catch up, decode is one token, chunked prefill is a
// budget that ends before the prompt does.
#ifndef KEEL_CORE_SCHEDULER_SCHEDULER_H_
#define KEEL_CORE_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <list>
#include <vector>

#include "absl/status/status.h"
#include "core/cache/block_pool.h"
#include "core/scheduler/sequence.h"

namespace keel {

struct SchedulerOptions {
  int32_t max_num_seqs = 64;              // sequences in one step
  int32_t max_num_batched_tokens = 2048;  // tokens in one step
};

// One step's work.
struct Step {
  struct Item {
    Sequence* sequence;
    int32_t num_tokens;  // from sequence->num_computed on
    bool reaches_end;    // the last token is among them: a new one is sampled
  };
  std::vector<Item> items;
  int32_t num_tokens = 0;
  int32_t num_preempted = 0;

  bool empty() const { return items.empty(); }
};

// Owned by the engine's thread.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, BlockPool& pool) : options_(options), pool_(pool) {}

  // Blocks that a sequence of `tokens` tokens fills.
  int32_t BlocksFor(int64_t tokens) const {
    return static_cast<int32_t>((tokens + pool_.block_size() - 1) / pool_.block_size());
  }

  // Queues a sequence: by priority, then arrival. It must fit the pool on its own at its full length (the engine
  // refuses it otherwise), so whoever is first always gets to run.
  void Add(Sequence* sequence);

  // Takes it out, wherever it is, and frees its blocks at once.
  void Remove(Sequence* sequence);

  // Chooses the next step and takes the blocks that it needs. Running sequences come first, in order; when blocks run
  // out the last of them is preempted: it gives its blocks back and later computes its tokens anew. Then waiting ones
  // are admitted while budget, places and blocks last. Empty when nobody is here.
  Step Schedule();

  // Says that the step has run: counts its tokens as computed and publishes blocks that it filled. Call before tokens
  // are appended.
  void Advance(const Step& step);

  size_t num_running() const { return running_.size(); }
  size_t num_waiting() const { return waiting_.size(); }

  // Every block is used by those who say so, and by nobody else.
  absl::Status CheckIntegrity() const;

 private:
  bool ScheduleRunning(Sequence* sequence, Step& step);
  bool Admit(Sequence* sequence, Step& step);
  void Preempt(Sequence* sequence);
  void Put(Sequence* sequence, int32_t num_tokens, Step& step);

  const SchedulerOptions options_;
  BlockPool& pool_;
  std::vector<Sequence*> running_;  // by priority, then arrival
  std::list<Sequence*> waiting_;    // by priority, then arrival
  uint64_t arrivals_ = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_SCHEDULER_SCHEDULER_H_
