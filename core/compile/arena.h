// The memory of a program: grows to what the largest step so far takes, and stays. It has a bound, that of a step of
// --max-num-batched-tokens and --max-num-seqs rows, and the next prompt needs it again: given back, its pages would be
// cleared anew in the midst of a step.
#ifndef KEEL_CORE_COMPILE_ARENA_H_
#define KEEL_CORE_COMPILE_ARENA_H_

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace keel {

class Arena {
 public:
  // At least `bytes` bytes, 64-byte aligned, undefined contents; what was given before is gone. Null: no memory.
  char* Reserve(int64_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();
      const int64_t rounded = (bytes + 63) / 64 * 64;
      memory_.reset(static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(rounded))));
      capacity_ = memory_ != nullptr ? rounded : 0;
    }
    return memory_.get();
  }
  int64_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
  int64_t capacity_ = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_ARENA_H_
