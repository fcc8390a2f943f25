#include "core/scheduler/scheduler.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

bool Before(const Sequence* a, const Sequence* b) {
  return a->priority != b->priority ? a->priority < b->priority : a->arrival < b->arrival;
}

template <typename Container>
void InsertInOrder(Container& sequences, Sequence* sequence) {
  sequences.insert(std::find_if(sequences.begin(), sequences.end(),
                                [&](const Sequence* s) { return Before(sequence, s); }),
                   sequence);
}

}  // namespace

void Scheduler::Add(Sequence* sequence) {
  sequence->arrival = arrivals_++;
  InsertInOrder(waiting_, sequence);
}

void Scheduler::Remove(Sequence* sequence) {
  std::erase(running_, sequence);
  waiting_.remove(sequence);
  pool_.Release(sequence->blocks);
  sequence->blocks.clear();
}

Step Scheduler::Schedule() {
  Step step;
  // By index: preempting shortens the list at its end.
  for (size_t i = 0; i < running_.size() && step.num_tokens < options_.max_num_batched_tokens;
       ++i) {
    while (i < running_.size() && !ScheduleRunning(running_[i], step)) {
      Preempt(running_.back());
      ++step.num_preempted;
    }
  }
  if (step.num_preempted > 0)
    return step;  // who was preempted must not be admitted in the same breath
  while (!waiting_.empty() && step.num_tokens < options_.max_num_batched_tokens &&
         running_.size() < static_cast<size_t>(options_.max_num_seqs)) {
    Sequence* sequence = waiting_.front();
    if (!Admit(sequence, step)) break;
    waiting_.pop_front();
    InsertInOrder(running_, sequence);
  }
  return step;
}

void Scheduler::Put(Sequence* sequence, int32_t num_tokens, Step& step) {
  step.items.push_back(
      {sequence, num_tokens, sequence->num_computed + num_tokens == sequence->size()});
  step.num_tokens += num_tokens;
}

bool Scheduler::ScheduleRunning(Sequence* sequence, Step& step) {
  const int32_t budget = options_.max_num_batched_tokens - step.num_tokens;
  const int32_t num_tokens = std::min(sequence->size() - sequence->num_computed, budget);
  if (num_tokens == 0) return true;
  const int32_t missing = BlocksFor(sequence->num_computed + num_tokens) -
                          static_cast<int32_t>(sequence->blocks.size());
  if (missing > 0 && !pool_.Allocate(missing, sequence->blocks)) return false;
  Put(sequence, num_tokens, step);
  return true;
}

bool Scheduler::Admit(Sequence* sequence, Step& step) {
  const ContentId root = pool_.Root(sequence->cache_salt);
  BlockPool::Match prefix{{}, root};
  // At least one token must be computed: its logits are what the sequence waits for.
  if (!sequence->wants_prompt_logits)
    prefix = pool_.FindPrefix(root, sequence->tokens, sequence->size() - 1);
  const int32_t computed = static_cast<int32_t>(prefix.blocks.size()) * pool_.block_size();
  const int32_t num_tokens =
      std::min(sequence->size() - computed, options_.max_num_batched_tokens - step.num_tokens);
  std::vector<int32_t> blocks = prefix.blocks;
  if (!pool_.Allocate(BlocksFor(computed + num_tokens) - static_cast<int32_t>(blocks.size()),
                      blocks)) {
    pool_.Release(prefix.blocks);
    return false;
  }
  sequence->blocks = std::move(blocks);
  sequence->num_computed = computed;
  sequence->published_blocks = static_cast<int32_t>(prefix.blocks.size());
  sequence->content = prefix.content;
  if (!sequence->admitted) sequence->cached_tokens = std::min(computed, sequence->prompt_tokens);
  sequence->admitted = true;
  Put(sequence, num_tokens, step);
  return true;
}

void Scheduler::Preempt(Sequence* sequence) {
  std::erase(running_, sequence);
  pool_.Release(sequence->blocks);
  sequence->blocks.clear();
  sequence->num_computed = 0;
  InsertInOrder(waiting_, sequence);
}

void Scheduler::Advance(const Step& step) {
  const int32_t block_size = pool_.block_size();
  for (const Step::Item& item : step.items) {
    Sequence& sequence = *item.sequence;
    sequence.num_computed += item.num_tokens;
    while ((sequence.published_blocks + 1) * block_size <= sequence.num_computed) {
      const int32_t i = sequence.published_blocks++;
      sequence.content =
          pool_.Publish(sequence.blocks[i], sequence.content,
                        absl::MakeConstSpan(sequence.tokens)
                            .subspan(static_cast<size_t>(i) * block_size, block_size));
    }
  }
}

absl::Status Scheduler::CheckIntegrity() const {
  KEEL_RETURN_IF_ERROR(pool_.CheckIntegrity());
  std::map<int32_t, int> users;
  for (const Sequence* sequence : running_) {
    for (const int32_t block : sequence->blocks) ++users[block];
    if (static_cast<int32_t>(sequence->blocks.size()) < BlocksFor(sequence->num_computed)) {
      return absl::InternalError(
          absl::StrCat("sequence ", sequence->id, " has fewer blocks than computed tokens"));
    }
  }
  for (const Sequence* sequence : waiting_) {
    if (!sequence->blocks.empty())
      return absl::InternalError(
          absl::StrCat("sequence ", sequence->id, " waits and holds blocks"));
  }
  if (static_cast<int32_t>(users.size()) + pool_.num_available() != pool_.num_blocks()) {
    return absl::InternalError(absl::StrCat(users.size(), " blocks in use and ",
                                            pool_.num_available(), " available of ",
                                            pool_.num_blocks()));
  }
  return absl::OkStatus();
}

}  // namespace keel
