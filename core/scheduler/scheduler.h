// Decides each step: who runs, how many tokens, in which blocks. Numbers only: no tensor, clock, thread or tokenizer.
//
// There are no phases. Every sequence has tokens and a count of those that are computed; a step gives each a number of
// tokens to catch up by, under one budget. Prefill is a long way to catch up, decode is one token, a speculative decode
// is one token and some guesses, chunked prefill is a budget that ends before the prompt does.
#ifndef KEEL_CORE_SCHEDULER_SCHEDULER_H_
#define KEEL_CORE_SCHEDULER_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/cache/block_allocator.h"
#include "core/scheduler/prefill_pace.h"
#include "core/scheduler/sequence.h"

namespace keel {

struct SchedulerOptions {
  int32_t max_num_seqs = 64;              // sequences in one step
  int32_t max_num_batched_tokens = 2048;  // tokens in one step
  // Bounds on the prompts' part of a step that others decode in, which is what a long prompt adds to everybody's time
  // between two tokens: so many times as long as without it (PrefillPace; 0: no bound), so many tokens (0: no bound).
  double max_decode_slowdown = 0;
  int32_t max_prefill_beside_decodes = 0;
  // Steps after which a sequence that waits goes first, whatever its priority.
  uint64_t overdue_after = 1024;
};

// One step's work.
struct Step {
  struct Item {
    Sequence* sequence;
    int32_t num_tokens;  // from sequence->num_computed on
    bool reaches_end;    // the last token is among them: a new one is sampled
  };
  std::vector<Item> items;
  CacheWork work;  // to be done before the forward
  int32_t num_tokens = 0;
  int32_t num_decode_tokens = 0;  // of them, those of `items` that come first: their drafts too
  int64_t prompt_context = 0;     // tokens before each of the others, on the whole
  std::vector<Sequence*> preempted;
  bool waits_for_media =
      false;  // somebody is not in it, or with less, for features that are not there

  bool empty() const { return items.empty(); }
};

// Owned by the engine's thread.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, BlockAllocator& blocks)
      : options_(options), blocks_(blocks), pace_(options.max_decode_slowdown) {}

  // How many of the next `n` tokens of a sequence with media, from `begin` on, a step may compute: those up to the first
  // whose features are not there. Whoever answers has those made, and the sequence waits while others run.
  using MediaGate = std::function<int32_t(Sequence&, int32_t begin, int32_t n)>;
  void SetMediaGate(MediaGate gate) { media_gate_ = std::move(gate); }

  // Queues a sequence: by priority, then arrival. It must fit the cache on its own at its full length, and a whole one or
  // a group max_num_batched_tokens (the engine refuses it otherwise), so whoever is first always gets to run. A whole one
  // has no tokens to generate, and does not come among those that do, whose decodes may never leave it the room.
  void Add(Sequence* sequence);

  // Queues a copy of a running sequence; `child` has its tokens. It shares the blocks of what is computed where there is
  // a place for it among the running; else it waits and computes its tokens anew.
  void Fork(const Sequence& parent, Sequence* child);

  // Takes it out, wherever it is, and frees its blocks at once.
  void Remove(Sequence* sequence);

  // Takes it out for a while, and frees its blocks; with Resume it queues again at its place.
  void Pause(Sequence* sequence);
  void Resume(Sequence* sequence);

  // Chooses the next step and takes the blocks that it needs. Running sequences come first: those that are one token
  // behind, so that nobody waits for another's prompt, then prompts. When blocks run out the last of the running is
  // preempted: it gives its blocks back and later computes its tokens anew. Then waiting ones are admitted, in order,
  // while budget, places and blocks last. A prompt ends before a group that has no room any more; where decodes alone took
  // it, they leave it free in the next step. Empty when nobody is here.
  Step Schedule();

  // Who is to blame when a step is empty and nobody was preempted, which is the engine's or its own mistake: a running
  // sequence that waits for something else, or who is first. Null when nobody is here.
  Sequence* FirstStuck() const;

  // Says that the step has run: its tokens are computed, those that are still there. Call before tokens are appended.
  void Advance(const Step& step);

  // While encoders of media run between steps, prompts leave them half of what both may add to the time of decodes.
  void SetEncoding(bool encoding) { encoding_ = encoding; }
  // That half, after `step`; max(): nobody decodes in it, or there is no bound.
  int64_t EncodingNanoseconds(const Step& step) const;

  // Says how long it took, all in all. Without it, max_decode_slowdown bounds nothing well.
  void StepTook(const Step& step, int64_t nanoseconds) {
    const int32_t prompt_tokens = step.num_tokens - step.num_decode_tokens;
    pace_.StepTook(step.num_decode_tokens, prompt_tokens,
                   static_cast<double>(step.prompt_context) / std::max(prompt_tokens, 1),
                   nanoseconds);
  }

  absl::Span<Sequence* const> running() const { return running_; }
  size_t num_running() const { return running_.size(); }
  size_t num_waiting() const { return waiting_.size(); }
  bool empty() const { return running_.empty() && waiting_.empty(); }

  // Every block is used by those who say so, and by nobody else.
  absl::Status CheckIntegrity() const;

 private:
  void ScheduleDecodes(Step& step, int32_t kept_free);
  bool ScheduleRunningPrompts(Step& step);
  void ScheduleWaiting(Step& step);
  enum class Admission { kDone, kNoRoom, kWaitsForMedia };
  Admission Admit(Sequence* sequence, Step& step);
  // Takes what is known of its beginning into its table; returns how many tokens that is.
  int32_t TakePrefix(Sequence& sequence);
  // How many tokens of it a step computes, `begin` being computed; 0: a group that begins there has no room, or it waits
  // for media.
  int32_t Chunk(Sequence& sequence, int32_t begin, const Step& step);
  // As MediaGate says.
  int32_t NumReady(Sequence& sequence, int32_t begin, int32_t n);
  void Preempt(Sequence* sequence, Step& step);
  // Whose blocks a prompt that goes on may have, or null.
  Sequence* VictimFor(const Sequence* sequence, const Step& step) const;
  void Put(Sequence* sequence, int32_t num_tokens, Step& step);
  void FindOverdue();
  int32_t Budget(const Step& step) const {
    return options_.max_num_batched_tokens - step.num_tokens;
  }
  // Tokens of prompts that a step with these decodes may take.
  int32_t PrefillBeside(const Step& decodes) const;
  // Those that it may still take.
  int32_t PrefillBudget(const Step& step) const;

  const SchedulerOptions options_;
  BlockAllocator& blocks_;
  std::vector<Sequence*> running_;  // by priority, then arrival
  std::list<Sequence*> waiting_;    // by priority, then arrival
  CacheWork work_;                  // for the next step
  int32_t max_prefill_ = 0;         // tokens of prompts in the step that is being made
  int32_t waiting_group_ = 0;       // tokens of a group that decodes left no room for
  PrefillPace pace_;
  MediaGate media_gate_;
  bool encoding_ = false;
  bool waits_for_media_ = false;  // somebody, in the step that is being made
  uint64_t arrivals_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_SCHEDULER_SCHEDULER_H_
