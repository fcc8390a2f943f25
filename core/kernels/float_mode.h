// What a thread's floating-point unit does with numbers too small to be normal.
//
// Kernels take and give them as 0: a product of two of them takes a hundred times as long as another,
// and what ends as a softmax's tail or a decayed state is full of them. Code that is not Keel's (a
// plugin's) is called in the mode that compilers assume.
#ifndef KEEL_CORE_KERNELS_FLOAT_MODE_H_
#define KEEL_CORE_KERNELS_FLOAT_MODE_H_

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace keel {

// The control register, 0 where there is none known. Writing costs some nanoseconds.
inline uint32_t FloatMode() {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  return 0;
#endif
}
inline void SetFloatMode([[maybe_unused]] uint32_t mode) {
#if defined(__x86_64__)
  _mm_setcsr(mode);
#endif
}

// Sets a mode on this thread and brings back the one before at the end of the scope, whatever was set
// between.
class ScopedFloatMode {
 public:
  explicit ScopedFloatMode(uint32_t mode) : before_(FloatMode()), mode_(mode) {
    if (mode_ != before_) SetFloatMode(mode_);
  }
  ~ScopedFloatMode() {
    if (FloatMode() != before_) SetFloatMode(before_);
  }
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  const uint32_t before_, mode_;
};

// Operands and results that are not normal are 0 (FTZ and DAZ).
class FlushDenormals : ScopedFloatMode {
 public:
  FlushDenormals() : ScopedFloatMode(FloatMode() | 0x8040) {}
};

// As a program starts: nearest, all exceptions masked, nothing flushed.
class DefaultFloatMode : ScopedFloatMode {
 public:
  DefaultFloatMode() : ScopedFloatMode(0x1f80) {}
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_FLOAT_MODE_H_
