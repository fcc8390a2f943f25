// The memory of a thread that computes attention: kept from call to call.
#ifndef KEEL_CORE_KERNELS_ATTENTION_SCRATCH_H_
#define KEEL_CORE_KERNELS_ATTENTION_SCRATCH_H_

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/kernels/attention_tile.h"

namespace keel::lanes {

// Memory that grows and stays, on a cache line's border.
template <typename T>
class Buffer {
 public:
  T* Get(int64_t count) {
    if (count > size_) {
      const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
      data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
      size_ = count;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

struct Scratch {
  Buffer<uint32_t> queries, keys, values;  // packed
  Buffer<uint32_t> block;                  // of keys or values, a few panels
  Buffer<float> scores, tile_out;          // of a strip
  Buffer<float> out;                       // of all rows, not yet divided by their sums
  Buffer<Running> running;                 // of all rows
  Buffer<const void*> kv_rows;             // of the keys of a tile, then of their values
  Buffer<char> zeros;                      // a row of keys or values that is not there
  Buffer<float> scales;                    // of the keys of a tile, then of their values
  Buffer<uint16_t> expanded;               // rows of a few panels as bf16
  Buffer<const uint16_t*> expanded_rows;
};

Scratch& ThreadScratch();

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_SCRATCH_H_
