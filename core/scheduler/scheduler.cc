#include "core/scheduler/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

bool Before(const Sequence* a, const Sequence* b) {
  if (a->overdue != b->overdue) return a->overdue;
  if (!a->overdue && a->priority != b->priority) return a->priority < b->priority;
  return a->arrival < b->arrival;
}

template <typename Container>
void InsertInOrder(Container& sequences, Sequence* sequence) {
  // From the end: most come last.
  auto place = sequences.end();
  while (place != sequences.begin() && Before(sequence, *std::prev(place))) --place;
  sequences.insert(place, sequence);
}

void DropDrafts(Sequence* sequence, int32_t kept) {
  sequence->tokens.resize(
      static_cast<size_t>(sequence->size() - std::max(0, sequence->num_drafts - kept)));
  sequence->num_drafts = std::min(sequence->num_drafts, kept);
}

// The group that has tokens on both sides of a border before token `at`, or null.
const TokenRange* GroupAcross(const Sequence& sequence, int32_t at) {
  const auto group =
      std::upper_bound(sequence.groups.begin(), sequence.groups.end(), at,
                       [](int32_t token, const TokenRange& g) { return token < g.end; });
  return group != sequence.groups.end() && group->begin < at ? &*group : nullptr;
}

// One token behind, guesses apart.
bool Decodes(const Sequence* sequence) {
  return sequence->num_behind() == 1 + sequence->num_drafts;
}

}  // namespace

void Scheduler::Add(Sequence* sequence) {
  sequence->arrival = arrivals_++;
  sequence->waits_since = steps_;
  InsertInOrder(waiting_, sequence);
}

void Scheduler::Fork(const Sequence& parent, Sequence* child) {
  child->arrival = parent.arrival;  // it comes right after
  child->waits_since = steps_;
  child->overdue = parent.overdue;
  child->admitted = parent.admitted;
  child->cached_tokens = parent.cached_tokens;
  const bool has_place = running_.size() < static_cast<size_t>(options_.max_num_seqs);
  if (has_place && !parent.table.empty() &&
      blocks_.Fork(parent.table, parent.num_computed, work_, child->table)) {
    child->num_computed = parent.num_computed;
    return InsertInOrder(running_, child);
  }
  InsertInOrder(waiting_, child);
}

void Scheduler::Remove(Sequence* sequence) {
  std::erase(running_, sequence);
  waiting_.remove(sequence);
  blocks_.Release(sequence->table);
}

void Scheduler::Pause(Sequence* sequence) {
  DropDrafts(sequence, 0);
  Remove(sequence);
  sequence->num_computed = 0;
}

void Scheduler::Resume(Sequence* sequence) {
  sequence->waits_since = steps_;
  InsertInOrder(waiting_, sequence);
}

Step Scheduler::Schedule() {
  Step step;
  ++steps_;
  waits_for_media_ = false;
  FindOverdue();
  const int32_t kept_free = std::exchange(waiting_group_, 0);
  ScheduleDecodes(step, kept_free);
  max_prefill_ = PrefillBeside(step);
  // Who was preempted must not be admitted in the same breath, nor may newcomers take what a running one lacks.
  if (ScheduleRunningPrompts(step) && step.preempted.empty()) ScheduleWaiting(step);
  // Whoever it was kept free for may lack blocks, or be gone.
  if (step.empty() && step.preempted.empty() && kept_free > 0) ScheduleDecodes(step, 0);
  // All that run may be idle, as beams are until their siblings come, and one of those has no place or no blocks. It
  // comes before the last that is idle, or right after it.
  if (step.empty() && step.preempted.empty() && !waits_for_media_ && !waiting_.empty() &&
      !running_.empty() && running_.back()->num_behind() == 0) {
    Preempt(running_.back(), step);
  }
  step.waits_for_media = waits_for_media_;
  if (!step.empty()) step.work = std::exchange(work_, CacheWork());
  return step;
}

int32_t Scheduler::PrefillBeside(const Step& decodes) const {
  if (decodes.num_decode_tokens == 0) return PrefillPace::kNoBound;
  const auto is_prompt = [](const Sequence* s) { return s->num_behind() > 0 && !Decodes(s); };
  const auto num_prompts = std::count_if(running_.begin(), running_.end(), is_prompt);
  // The first one gets the most.
  const auto first = std::find_if(running_.begin(), running_.end(), is_prompt);
  const int32_t context = first != running_.end() ? (*first)->num_computed : 0;
  const auto places = options_.max_num_seqs - static_cast<int64_t>(running_.size());
  const auto num_waiting = std::min(places, static_cast<int64_t>(waiting_.size()));
  int32_t paced = pace_.Tokens(
      decodes.num_decode_tokens,
      static_cast<double>(num_prompts + num_waiting) / static_cast<double>(decodes.items.size()),
      context);
  if (encoding_ && paced != PrefillPace::kNoBound) paced = (paced + 1) / 2;
  return options_.max_prefill_beside_decodes == 0
             ? paced
             : std::min(paced, options_.max_prefill_beside_decodes);
}

int64_t Scheduler::EncodingNanoseconds(const Step& step) const {
  return step.num_decode_tokens == 0 ? std::numeric_limits<int64_t>::max()
                                     : pace_.Spare(step.num_decode_tokens) / 2;
}

int32_t Scheduler::PrefillBudget(const Step& step) const {
  return std::min(Budget(step), max_prefill_ - (step.num_tokens - step.num_decode_tokens));
}

void Scheduler::ScheduleDecodes(Step& step, int32_t kept_free) {
  const auto room = [&] { return Budget(step) - kept_free; };
  // A guess is not worth another's blocks: each decode may need one, and one for a copy.
  const bool may_guess = static_cast<size_t>(blocks_.num_available()) > 2 * running_.size();
  // By index: preempting shortens the list at its end.
  for (size_t i = 0; i < running_.size() && room() > 0; ++i) {
    Sequence* sequence = running_[i];
    if (!Decodes(sequence)) continue;
    if (NumReady(*sequence, sequence->num_computed, sequence->num_behind()) <
        sequence->num_behind()) {
      continue;
    }
    DropDrafts(sequence, may_guess ? room() - 1 : 0);
    while (i < running_.size() &&
           !blocks_.Grow(sequence->table, sequence->num_computed, sequence->num_behind(), work_)) {
      if (sequence->num_drafts > 0) {
        DropDrafts(sequence, 0);
      } else {
        Preempt(running_.back(), step);
      }
    }
    if (i < running_.size()) Put(sequence, sequence->num_behind(), step);
  }
  step.num_decode_tokens = step.num_tokens;
}

bool Scheduler::ScheduleRunningPrompts(Step& step) {
  for (size_t i = 0; i < running_.size() && PrefillBudget(step) > 0; ++i) {
    Sequence* sequence = running_[i];
    if (sequence->num_behind() == 0 || Decodes(sequence)) continue;
    const int32_t num_tokens = Chunk(*sequence, sequence->num_computed, step);
    if (num_tokens == 0) continue;
    while (!blocks_.Grow(sequence->table, sequence->num_computed, num_tokens, work_)) {
      Sequence* victim = VictimFor(sequence, step);
      if (victim == nullptr) return false;
      Preempt(victim, step);
    }
    Put(sequence, num_tokens, step);
  }
  return true;
}

Sequence* Scheduler::VictimFor(const Sequence* sequence, const Step& step) const {
  // Those that are in the step keep their blocks; they end or are preempted in time.
  const auto is_in_step = [&](const Sequence* s) {
    return std::any_of(step.items.begin(), step.items.end(),
                       [s](const Step::Item& item) { return item.sequence == s; });
  };
  for (auto it = running_.rbegin(); it != running_.rend(); ++it) {
    // Who comes before goes only where nothing would run otherwise: a beam that waits for this one holds blocks too.
    if (*it == sequence && !step.empty()) return nullptr;
    if (*it != sequence && !is_in_step(*it)) return *it;
  }
  return nullptr;
}

void Scheduler::ScheduleWaiting(Step& step) {
  for (auto next = waiting_.begin();
       next != waiting_.end() && PrefillBudget(step) > 0 &&
       running_.size() < static_cast<size_t>(options_.max_num_seqs);) {
    Sequence* sequence = *next;
    const Admission admission = Admit(sequence, step);
    if (admission == Admission::kNoRoom) return;
    if (admission == Admission::kWaitsForMedia) {
      ++next;
      continue;
    }
    next = waiting_.erase(next);
    InsertInOrder(running_, sequence);
  }
}

int32_t Scheduler::NumReady(Sequence& sequence, int32_t begin, int32_t n) {
  if (sequence.media.empty() || begin >= sequence.prompt_tokens || media_gate_ == nullptr) return n;
  const int32_t ready = media_gate_(sequence, begin, n);
  waits_for_media_ |= ready < n;
  return ready;
}

int32_t Scheduler::Chunk(Sequence& sequence, int32_t begin, const Step& step) {
  if (sequence.is_whole) {
    const int32_t all = sequence.size() - begin;
    return NumReady(sequence, begin, all) == all ? all : 0;
  }
  const int32_t fits =
      NumReady(sequence, begin,
               std::min({sequence.size() - begin, PrefillBudget(step), sequence.max_chunk}));
  const TokenRange* group = GroupAcross(sequence, begin + fits);
  if (group == nullptr) return fits;
  if (group->begin > begin) return group->begin - begin;
  if (NumReady(sequence, begin, group->end - begin) < group->end - begin) return 0;
  // It can't be less, so the first prompt of a step goes beyond what prompts should take beside decodes.
  const bool is_first = step.num_tokens == step.num_decode_tokens;
  const int32_t all = group->end - begin;
  if (all <= (is_first ? Budget(step) : PrefillBudget(step))) return all;
  if (is_first) waiting_group_ = all;
  return 0;
}

int32_t Scheduler::TakePrefix(Sequence& sequence) {
  // At least one token must be computed: its logits are what the sequence waits for.
  int32_t most = sequence.reads_prefix_cache ? sequence.size() - 1 : 0;
  for (;;) {
    const int32_t cached = blocks_.Begin(sequence.cache_salt, sequence.tokens, sequence.media, most,
                                         work_, sequence.table);
    const TokenRange* group = GroupAcross(sequence, cached);
    if (group == nullptr) return cached;
    blocks_.Release(sequence.table);  // what is known ends within a group: up to its begin then
    most = group->begin;
  }
}

Scheduler::Admission Scheduler::Admit(Sequence* sequence, Step& step) {
  if (!blocks_.HasStateSlot()) return Admission::kNoRoom;
  if (sequence->is_whole && sequence->size() > Budget(step)) return Admission::kNoRoom;
  const int32_t cached = TakePrefix(*sequence);
  const bool others_wait = std::exchange(waits_for_media_, false);
  const int32_t num_tokens = Chunk(*sequence, cached, step);
  const bool waits = waits_for_media_;
  waits_for_media_ |= others_wait;
  if (num_tokens == 0 || !blocks_.Grow(sequence->table, cached, num_tokens, work_)) {
    blocks_.Release(sequence->table);
    return num_tokens == 0 && waits ? Admission::kWaitsForMedia : Admission::kNoRoom;
  }
  sequence->num_computed = cached;
  if (!sequence->admitted) sequence->cached_tokens = std::min(cached, sequence->prompt_tokens);
  sequence->admitted = true;
  Put(sequence, num_tokens, step);
  return Admission::kDone;
}

void Scheduler::Put(Sequence* sequence, int32_t num_tokens, Step& step) {
  if (!Decodes(sequence)) {
    step.prompt_context += int64_t{num_tokens} * (2 * sequence->num_computed + num_tokens - 1) / 2;
  }
  step.items.push_back({sequence, num_tokens, num_tokens == sequence->num_behind()});
  step.num_tokens += num_tokens;
}

void Scheduler::Preempt(Sequence* sequence, Step& step) {
  Pause(sequence);
  Resume(sequence);
  ++sequence->num_preemptions;
  step.preempted.push_back(sequence);
}

void Scheduler::FindOverdue() {
  constexpr uint64_t kEvery = 16;  // steps; the search goes over all that wait
  if (steps_ % kEvery != 0) return;
  std::vector<Sequence*> found;
  std::erase_if(waiting_, [&](Sequence* sequence) {
    if (sequence->overdue || steps_ - sequence->waits_since < options_.overdue_after) return false;
    found.push_back(sequence);
    return true;
  });
  for (Sequence* sequence : found) {
    sequence->overdue = true;
    InsertInOrder(waiting_, sequence);
  }
}

Sequence* Scheduler::FirstStuck() const {
  const auto idle = std::find_if(running_.begin(), running_.end(),
                                 [](const Sequence* s) { return s->num_behind() == 0; });
  if (idle != running_.end()) return *idle;
  if (!running_.empty()) return running_.front();
  return waiting_.empty() ? nullptr : waiting_.front();
}

void Scheduler::Advance(const Step& step) {
  for (const Step::Item& item : step.items) {
    Sequence& sequence = *item.sequence;
    sequence.num_computed = std::min(sequence.num_computed + item.num_tokens, sequence.size());
    blocks_.Advance(sequence.table, sequence.tokens, sequence.media, sequence.num_computed);
  }
}

absl::Status Scheduler::CheckIntegrity() const {
  std::vector<const BlockTable*> tables;
  for (const Sequence* sequence : running_) tables.push_back(&sequence->table);
  for (const Sequence* sequence : waiting_) {
    if (!sequence->table.empty())
      return absl::InternalError(
          absl::StrCat("sequence ", sequence->id, " waits and holds blocks"));
  }
  return blocks_.CheckIntegrity(tables);
}

}  // namespace keel
