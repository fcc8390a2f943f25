// The scheduler over a fake model: thousands of random schedules, in caches that remember what was written where.
//
// A token's key is a hash of the whole text up to it, and up to the end of its group if it is in one. The fake forward
// writes keys into the blocks and then reads, for each token, all that it may see: whatever a wrong share, a copy that
// came too late, a block given away or a stale prefix would put there shows as another hash.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/scheduler/scheduler.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  // In [low, high].
  int32_t Between(int32_t low, int32_t high) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return low + static_cast<int32_t>((state_ >> 33) % static_cast<uint64_t>(high - low + 1));
  }
  bool OneIn(int32_t n) { return Between(1, n) == 1; }

 private:
  uint64_t state_;
};

uint64_t Mix(uint64_t hash, int32_t token) {
  hash = (hash ^ static_cast<uint64_t>(token + 1)) * 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 29);
}

// The keys of its first `end` tokens, which end in no group.
std::vector<uint64_t> KeysOf(const Sequence& s, int32_t end) {
  std::vector<uint64_t> keys;
  for (int32_t p = 0; p < end; ++p)
    keys.push_back(Mix(keys.empty() ? 0 : keys.back(), s.tokens[static_cast<size_t>(p)]));
  for (const TokenRange& group : s.groups) {
    if (group.end > end) break;
    const uint64_t all = Mix(keys[static_cast<size_t>(group.end) - 1], -group.size());
    for (int32_t p = group.begin; p < group.end; ++p)
      keys[static_cast<size_t>(p)] = Mix(all, p - group.begin);
  }
  return keys;
}

// What the token at `p` sees of a group's: the tokens of its own, else itself.
TokenRange GroupOf(const Sequence& s, int32_t p) {
  for (const TokenRange& group : s.groups)
    if (group.begin <= p && p < group.end) return group;
  return {p, p + 1};
}

// What a model would keep: a key for each slot of each block, a state for each slot.
class FakeModel {
 public:
  FakeModel(const BlockAllocator::Options& options)
      : options_(options), states_(static_cast<size_t>(options.num_state_slots)) {
    for (const CacheGroup& group : options.groups)
      keys_.emplace_back(static_cast<size_t>(group.num_blocks * options.block_size));
  }

  void Do(const CacheWork& work) {
    const auto size = static_cast<ptrdiff_t>(options_.block_size);
    for (const BlockCopy& copy : work.blocks) {
      auto& keys = keys_[static_cast<size_t>(copy.group)];
      std::copy_n(keys.begin() + copy.from * size, size, keys.begin() + copy.to * size);
    }
    for (const StateCopy& copy : work.states)
      states_[static_cast<size_t>(copy.to)] =
          copy.from < 0 ? 0 : states_[static_cast<size_t>(copy.from)];
  }

  // Writes the item's keys.
  void Write(const Step::Item& item) {
    const Sequence& s = *item.sequence;
    const int32_t end = s.num_computed + item.num_tokens;
    const std::vector<uint64_t> keys = KeysOf(s, end);
    for (int32_t p = s.num_computed; p < end; ++p) {
      for (size_t g = 0; g < keys_.size(); ++g)
        keys_[g][Slot(s, g, p)] = keys[static_cast<size_t>(p)];
    }
  }

  // Reads what each of its tokens sees.
  void Read(const Step::Item& item) {
    const Sequence& s = *item.sequence;
    const std::vector<uint64_t> hashes = KeysOf(s, s.num_computed + item.num_tokens);
    for (const TokenRange& group : s.groups) {
      for (const int32_t border : {s.num_computed, s.num_computed + item.num_tokens})
        ASSERT_FALSE(group.begin < border && border < group.end) << "a group is cut";
    }
    for (size_t g = 0; g < keys_.size(); ++g) {
      const CacheGroup& group = options_.groups[g];
      for (int32_t p = s.num_computed; p < s.num_computed + item.num_tokens; ++p) {
        int64_t first = 0;
        if (group.window > 0) first = std::max<int64_t>(0, p - group.window + 1);
        if (group.chunk > 0) first = p / group.chunk * group.chunk;
        const TokenRange own = GroupOf(s, p);
        for (auto q = std::min(static_cast<int32_t>(first), own.begin); q < own.end; ++q) {
          ASSERT_NE(s.table.blocks[g][static_cast<size_t>(q / options_.block_size)], kNoBlock);
          ASSERT_EQ(keys_[g][Slot(s, g, q)], hashes[static_cast<size_t>(q)])
              << "sequence " << s.id << ", group " << g << ": token " << p
              << " sees another's key at " << q;
        }
      }
    }
    if (s.table.state_slot < 0) return;
    uint64_t& state = states_[static_cast<size_t>(s.table.state_slot)];
    ASSERT_EQ(state, s.num_computed == 0 ? 0 : hashes[static_cast<size_t>(s.num_computed) - 1])
        << "sequence " << s.id << " goes on from another's state";
    state = hashes.back();
  }

 private:
  size_t Slot(const Sequence& s, size_t group, int32_t position) const {
    const int32_t block =
        s.table.blocks[group][static_cast<size_t>(position / options_.block_size)];
    return static_cast<size_t>(block * options_.block_size + position % options_.block_size);
  }

  const BlockAllocator::Options options_;
  std::vector<std::vector<uint64_t>> keys_;
  std::vector<uint64_t> states_;
};

struct Simulated : Sequence {
  int32_t length = 0;  // ends when it has so many tokens
  int32_t forks = 0;   // when its prompt is computed
  bool paused = false;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        cache_(MakeCache()),
        max_step_tokens_(random_.Between(1, 40)),
        blocks_(cache_),
        scheduler_({.max_num_seqs = random_.Between(1, 8),
                    .max_num_batched_tokens = max_step_tokens_,
                    .max_decode_slowdown = random_.OneIn(2) ? 2.0 : 0.0,
                    .max_prefill_beside_decodes = random_.OneIn(2) ? random_.Between(1, 10) : 0,
                    .overdue_after = 64},
                   blocks_),
        model_(cache_) {}

  void Run(int32_t num_requests) {
    while (started_ < num_requests || !live_.empty()) {
      ASSERT_LT(++steps_, 20000) << "starved, " << live_.size() << " left";
      while (started_ < num_requests && !random_.OneIn(3)) Start();
      if (!live_.empty() && random_.OneIn(40)) Cancel();
      if (!live_.empty() && random_.OneIn(20)) PauseOrResume();
      ASSERT_NO_FATAL_FAILURE(RunStep());
      KEEL_ASSERT_OK(scheduler_.CheckIntegrity());
    }
    ASSERT_EQ(ended_.size(), static_cast<size_t>(next_id_));  // each once
    blocks_.ClearPrefixes();
    for (size_t g = 0; g < blocks_.num_groups(); ++g)
      ASSERT_EQ(blocks_.pool(g).num_available(), blocks_.pool(g).num_blocks());
    ASSERT_EQ(blocks_.num_contents(), 0u);
  }

 private:
  BlockAllocator::Options MakeCache() {
    BlockAllocator::Options options;
    options.block_size = random_.Between(1, 8);
    const bool has_states = random_.OneIn(4);
    options.prefix_caching = !has_states && !random_.OneIn(4);
    options.num_state_slots = has_states ? random_.Between(1, 6) : 0;
    max_length_ = random_.Between(20, 60);
    if (has_states && random_.OneIn(2)) return options;  // no layer keeps keys
    const int32_t enough = max_length_ / options.block_size + 2;
    options.groups = {{.num_blocks = enough + random_.Between(0, 2 * enough)}};
    if (random_.OneIn(2))
      options.groups.push_back(
          {.num_blocks = enough + random_.Between(0, enough), .window = random_.Between(1, 20)});
    if (random_.OneIn(4))
      options.groups.push_back(
          {.num_blocks = enough + random_.Between(0, enough), .chunk = random_.Between(1, 20)});
    return options;
  }

  void Start() {
    ++started_;
    auto sequence = std::make_unique<Simulated>();
    sequence->id = next_id_++;
    sequence->prompt_tokens = random_.Between(1, max_length_ - 1);
    // Few distinct tokens: many prompts begin alike.
    const int32_t kinds = random_.OneIn(2) ? 1 : 3;
    for (int32_t i = 0; i < sequence->prompt_tokens; ++i)
      sequence->tokens.push_back(random_.Between(1, kinds));
    sequence->length = random_.Between(sequence->prompt_tokens + 1, max_length_);
    sequence->priority = random_.Between(0, 2);
    sequence->cache_salt = random_.OneIn(3) ? "salt" : "";
    sequence->reads_prefix_cache = !random_.OneIn(5);
    if (random_.OneIn(5)) sequence->max_chunk = random_.Between(1, 5);
    sequence->forks = random_.OneIn(3) ? random_.Between(1, 3) : 0;
    if (has_groups_ && !random_.OneIn(3)) AddGroups(*sequence);
    scheduler_.Add(sequence.get());
    live_[sequence->id] = std::move(sequence);
  }

  // Tokens may be alike and their groups others.
  static std::string HashOf(const Simulated& s, const TokenRange& group) {
    std::string hash;
    for (int32_t p = group.begin; p < group.end; ++p)
      hash += std::to_string(s.tokens[static_cast<size_t>(p)]) + ",";
    return hash;
  }

  void AddGroups(Simulated& sequence) {
    int32_t begin = random_.OneIn(3) ? 0 : random_.Between(0, sequence.prompt_tokens);
    while (begin < sequence.prompt_tokens) {
      const int32_t most = std::min(max_step_tokens_, sequence.prompt_tokens - begin);
      const TokenRange group = {begin, begin + random_.Between(1, most)};
      sequence.groups.push_back(group);
      sequence.media.push_back({group.begin, group.end, HashOf(sequence, group)});
      begin = group.end + random_.Between(0, 10);
    }
  }

  void End(Simulated& sequence) {
    scheduler_.Remove(&sequence);
    ASSERT_TRUE(ended_.insert(sequence.id).second);
    live_.erase(sequence.id);
  }

  Simulated& Any() {
    auto it = live_.begin();
    std::advance(it, random_.Between(0, static_cast<int32_t>(live_.size()) - 1));
    return *it->second;
  }

  void Cancel() { End(Any()); }

  void PauseOrResume() {
    Simulated& sequence = Any();
    sequence.paused = !sequence.paused;
    if (sequence.paused) return scheduler_.Pause(&sequence);
    scheduler_.Resume(&sequence);
  }

  // Nobody would resume the last.
  void ResumeAll() {
    for (const auto& [id, sequence] : live_) {
      if (std::exchange(sequence->paused, false)) scheduler_.Resume(sequence.get());
    }
  }

  void Guess() {
    if (cache_.num_state_slots > 0) return;  // a state can't be taken back
    for (const auto& [id, sequence] : live_) {
      if (sequence->num_behind() != 1 || sequence->table.empty() || !random_.OneIn(2)) continue;
      const int32_t room = sequence->length - sequence->size() - 1;
      sequence->num_drafts = std::min(random_.Between(1, 6), std::max(0, room));
      for (int32_t i = 0; i < sequence->num_drafts; ++i)
        sequence->tokens.push_back(random_.Between(1, 2));
    }
  }

  void RunStep() {
    Guess();
    if (scheduler_.empty()) ResumeAll();
    const Step step = scheduler_.Schedule();
    ASSERT_TRUE(live_.empty() || !step.empty() || !step.preempted.empty()) << "nobody runs";
    model_.Do(step.work);
    for (const Step::Item& item : step.items) model_.Write(item);
    for (const Step::Item& item : step.items) ASSERT_NO_FATAL_FAILURE(model_.Read(item));
    for (const Step::Item& item : step.items) {
      if (!item.reaches_end) continue;
      auto& sequence = static_cast<Simulated&>(*item.sequence);
      const int32_t wrong = random_.Between(0, sequence.num_drafts);
      sequence.tokens.resize(sequence.tokens.size() - static_cast<size_t>(wrong));
      sequence.num_drafts = 0;
    }
    scheduler_.Advance(step);
    scheduler_.StepTook(step, random_.Between(1, 1000) * int64_t{1000});
    for (const Step::Item& item : step.items) {
      if (!item.reaches_end) continue;
      auto& sequence = static_cast<Simulated&>(*item.sequence);
      for (; sequence.forks > 0; --sequence.forks) ASSERT_NO_FATAL_FAILURE(Fork(sequence));
      ASSERT_NO_FATAL_FAILURE(Append(sequence));
    }
  }

  void Fork(const Simulated& parent) {
    auto child = std::make_unique<Simulated>();
    static_cast<Sequence&>(*child) = Sequence();
    child->id = next_id_++;
    child->priority = parent.priority;
    child->cache_salt = parent.cache_salt;
    child->tokens = parent.tokens;
    child->prompt_tokens = parent.prompt_tokens;
    child->media = parent.media;
    child->groups = parent.groups;
    child->length = parent.length;
    scheduler_.Fork(parent, child.get());
    Simulated& added = *child;
    live_[child->id] = std::move(child);
    Append(added);
  }

  void Append(Simulated& sequence) {
    sequence.tokens.push_back(random_.Between(1, 3));
    if (sequence.size() >= sequence.length) End(sequence);
  }

  Random random_;
  int32_t max_length_ = 0;
  const BlockAllocator::Options cache_;
  const int32_t max_step_tokens_;
  const bool has_groups_ = random_.OneIn(2);
  BlockAllocator blocks_;
  Scheduler scheduler_;
  FakeModel model_;
  std::map<uint64_t, std::unique_ptr<Simulated>> live_;
  std::set<uint64_t> ended_;
  uint64_t next_id_ = 0;
  int32_t started_ = 0;
  int steps_ = 0;
};

TEST(SimulatorTest, RandomSchedulesLoseNothingAndSeeTheirOwnTextOnly) {
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    SCOPED_TRACE(seed);
    Simulation simulation(seed);
    ASSERT_NO_FATAL_FAILURE(simulation.Run(25));
  }
}

// Important requests never stop coming; the unimportant one runs all the same.
TEST(SimulatorTest, StarvationIsBounded) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    BlockAllocator blocks(
        {.block_size = 4, .prefix_caching = true, .groups = {{24}}, .num_state_slots = 0});
    Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 16, .overdue_after = 100},
                        blocks);
    std::map<uint64_t, std::unique_ptr<Simulated>> live;
    uint64_t next = 1;
    const auto add = [&](uint64_t id, int32_t priority) {
      auto sequence = std::make_unique<Simulated>();
      sequence->id = id;
      sequence->priority = priority;
      sequence->prompt_tokens = random.Between(1, 30);
      sequence->tokens.assign(static_cast<size_t>(sequence->prompt_tokens), 1);
      sequence->length = sequence->prompt_tokens + random.Between(1, 30);
      scheduler.Add(sequence.get());
      live[id] = std::move(sequence);
    };
    add(0, 100);
    int steps = 0;
    for (; live.contains(0); ++steps) {
      ASSERT_LT(steps, 100 + 16 + 400);
      while (live.size() < 12) add(next++, 0);
      const Step step = scheduler.Schedule();
      scheduler.Advance(step);
      for (const Step::Item& item : step.items) {
        if (!item.reaches_end) continue;
        item.sequence->tokens.push_back(2);
        if (item.sequence->size() < static_cast<Simulated*>(item.sequence)->length) continue;
        const uint64_t id = item.sequence->id;
        scheduler.Remove(item.sequence);
        live.erase(id);
      }
    }
  }
}

// Streams that never end, prompts beside them, and a machine on which a step costs what it has to read, what it has to
// multiply and what its prompts attend to.
class Machine {
 public:
  explicit Machine(double max_slowdown)
      : blocks_(
            {.block_size = 16, .prefix_caching = false, .groups = {{4096}}, .num_state_slots = 0}),
        scheduler_({.max_num_seqs = 64, .max_decode_slowdown = max_slowdown}, blocks_) {}

  Sequence* Add(int32_t prompt_tokens) {
    auto sequence = std::make_unique<Sequence>();
    sequence->tokens.assign(static_cast<size_t>(prompt_tokens), 1);
    sequence->prompt_tokens = prompt_tokens;
    scheduler_.Add(sequence.get());
    sequences_.push_back(std::move(sequence));
    return sequences_.back().get();
  }

  // Runs a step; milliseconds.
  double Run() {
    const Step step = scheduler_.Schedule();
    double cost = 20;  // the weights
    for (const Step::Item& item : step.items) {
      const double keys = item.sequence->num_computed + item.num_tokens / 2.0;
      cost += item.num_tokens * (2 + keys * 0.25e-3);
    }
    scheduler_.Advance(step);
    for (const Step::Item& item : step.items)
      if (item.reaches_end) item.sequence->tokens.push_back(1);
    scheduler_.StepTook(step, static_cast<int64_t>(cost * 1e6));
    return cost;
  }

 private:
  BlockAllocator blocks_;
  Scheduler scheduler_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

TEST(SimulatorTest, ALongPromptTakesTheTimeThatIsLeftToIt) {
  constexpr int32_t kLong = 4000;
  Machine idle(2);
  Sequence* alone = idle.Add(kLong);
  double time_alone = 0;
  while (alone->size() == kLong) time_alone += idle.Run();

  Machine machine(2);
  for (int i = 0; i < 16; ++i) machine.Add(128);
  machine.Run();
  double before = 0;
  for (int i = 0; i < 32; ++i) before = std::max(before, machine.Run());
  Sequence* prompt = machine.Add(kLong);
  double time_beside = 0;
  std::vector<double> steps;
  while (prompt->size() == kLong) {
    steps.push_back(machine.Run());
    time_beside += steps.back();
  }
  std::sort(steps.begin(), steps.end());
  EXPECT_LE(steps[steps.size() * 99 / 100], 2.1 * before);
  EXPECT_LE(steps.back(), 2.5 * before);
  // It gets about half of the time.
  EXPECT_LE(time_beside, 2.5 * time_alone);
}

// Few decode and many wait: who waits is not held up for them.
TEST(SimulatorTest, ManyPromptsComeThrough) {
  double total[2];
  for (const double max_slowdown : {0.0, 2.0}) {
    Machine machine(max_slowdown);
    machine.Add(16);
    machine.Run();
    std::vector<Sequence*> prompts;
    for (int i = 0; i < 60; ++i) prompts.push_back(machine.Add(500));
    double& time = total[max_slowdown > 0];
    time = 0;
    while (prompts.back()->size() == 500) time += machine.Run();
  }
  EXPECT_LE(total[1], 2.2 * total[0]);
}

}  // namespace
}  // namespace keel
