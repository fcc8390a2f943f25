#include "core/kernels/row_ops.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/kv_codes.h"
#include "core/kernels/lane_variants.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr int64_t kElementsAPiece = 16 << 10;  // less is not worth waking a thread for

template <int kWidth>
KEEL_INLINE F32x16<kWidth> Splat(float x) {
  F32x16<kWidth> out;
  KEEL_EACH_PART_OF(kWidth) out.part[i] = typename Vector<kWidth>::F32{} + x;
  return out;
}

template <typename T>
KEEL_INLINE float Round(float x) {
  const typename T::Storage stored = T::Store(x);
  return T::Load(&stored);
}

// Sixteen elements of a row; past its end zeros.
template <int kWidth, typename T>
KEEL_INLINE void LoadPart(const typename T::Storage* p, int64_t count, F32x16<kWidth>* out) {
  if (count >= kLanes) return T::LoadLanes(p, out);
  typename T::Storage part[kLanes] = {};
  std::copy(p, p + count, part);
  T::LoadLanes(part, out);
}
template <int kWidth, typename T>
KEEL_INLINE void StorePart(const F32x16<kWidth>& x, int64_t count, typename T::Storage* p) {
  if (count >= kLanes) return T::StoreLanes(x, p);
  typename T::Storage part[kLanes];
  T::StoreLanes(x, part);
  std::copy(part, part + count, p);
}

// Row by row x + add into sum.
template <int kWidth, typename T>
KEEL_INLINE void AddRow(const typename T::Storage* x, const typename T::Storage* add, int64_t size,
                        typename T::Storage* sum) {
  for (int64_t i = 0; i < size; i += kLanes) {
    F32x16<kWidth> a, b;
    LoadPart<kWidth, T>(x + i, size - i, &a);
    LoadPart<kWidth, T>(add + i, size - i, &b);
    StorePart<kWidth, T>(a + b, size - i, sum + i);
  }
}

template <int kWidth, typename T>
KEEL_INLINE float MeanOfRow(const typename T::Storage* x, int64_t size) {
  F32x16<kWidth> sum = {}, v;
  for (int64_t i = 0; i < size; i += kLanes) {
    LoadPart<kWidth, T>(x + i, size - i, &v);
    sum += v;
  }
  return Sum(sum) / static_cast<float>(size);
}

// Of (x - mean)^2.
template <int kWidth, typename T>
KEEL_INLINE float MeanSquareOfRow(const typename T::Storage* x, int64_t size, float mean) {
  F32x16<kWidth> squares = {}, v;
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    T::LoadLanes(x + i, &v);
    v = v - Splat<kWidth>(mean);
    squares += v * v;
  }
  float sum = Sum(squares);
  for (; i < size; ++i) sum += (T::Load(x + i) - mean) * (T::Load(x + i) - mean);
  return sum / static_cast<float>(size);
}

template <int kWidth, typename T>
KEEL_INLINE void NormRow(const NormRows& r, const typename T::Storage* x, typename T::Storage* y) {
  using Storage = typename T::Storage;
  const auto* w = static_cast<const Storage*>(r.w);
  const auto* b = static_cast<const Storage*>(r.b);
  const float mean = r.center ? MeanOfRow<kWidth, T>(x, r.size) : 0;
  const float scale = 1.0f / std::sqrt(MeanSquareOfRow<kWidth, T>(x, r.size, mean) + r.eps);
  for (int64_t i = 0; i < r.size; i += kLanes) {
    F32x16<kWidth> v, factor;
    LoadPart<kWidth, T>(x + i, r.size - i, &v);
    v = (v - Splat<kWidth>(mean)) * scale;
    if (w != nullptr) {
      if (!r.cast_last) T::RoundLanes(&v);
      LoadPart<kWidth, T>(w + i, r.size - i, &factor);
      v = v * factor;
    }
    if (b != nullptr) {
      if (!r.cast_last) T::RoundLanes(&v);
      LoadPart<kWidth, T>(b + i, r.size - i, &factor);
      v = v + factor;
    }
    StorePart<kWidth, T>(v, r.size - i, y + i);
  }
}

template <int kWidth, typename T>
struct Norm {
  static KEEL_INLINE void Run(const NormRows& r, int64_t begin, int64_t end) {
    using Storage = typename T::Storage;
    for (int64_t row = begin; row < end; ++row) {
      const Storage* x = static_cast<const Storage*>(r.x) + row * r.x_stride;
      if (r.add != nullptr) {
        Storage* sum = static_cast<Storage*>(r.sum) + row * r.size;
        AddRow<kWidth, T>(x, static_cast<const Storage*>(r.add) + row * r.add_stride, r.size, sum);
        x = sum;
      }
      NormRow<kWidth, T>(r, x, static_cast<Storage*>(r.y) + row * r.size);
    }
  }
};

// A head of `size` elements.
template <int kWidth, typename T>
KEEL_INLINE void RopeHead(const typename T::Storage* x, const typename T::Storage* cos,
                          const typename T::Storage* sin, typename T::Storage* y, int64_t half,
                          int64_t size) {
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    F32x16<kWidth> a, b, c, s;
    T::LoadLanes(x + i, &a);
    T::LoadLanes(x + half + i, &b);
    T::LoadLanes(cos + i, &c);
    T::LoadLanes(sin + i, &s);
    F32x16<kWidth> ac = a * c, bs = b * s, bc = b * c, as = a * s;
    T::RoundLanes(&ac);
    T::RoundLanes(&bs);
    T::RoundLanes(&bc);
    T::RoundLanes(&as);
    T::StoreLanes(ac - bs, y + i);
    T::StoreLanes(bc + as, y + half + i);
  }
  for (; i < half; ++i) {
    const float a = T::Load(x + i), b = T::Load(x + half + i);
    const float c = T::Load(cos + i), s = T::Load(sin + i);
    y[i] = T::Store(Round<T>(a * c) - Round<T>(b * s));
    y[half + i] = T::Store(Round<T>(b * c) + Round<T>(a * s));
  }
  std::copy(x + 2 * half, x + size, y + 2 * half);
}

// The same in fp32 up to the sums.
template <int kWidth, typename T>
KEEL_INLINE void WideRopeHead(const typename T::Storage* x, const float* cos, const float* sin,
                              typename T::Storage* y, int64_t half, int64_t size) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t count = half - i;
    F32x16<kWidth> a, b, c, s;
    LoadPart<kWidth, T>(x + i, count, &a);
    LoadPart<kWidth, T>(x + half + i, count, &b);
    LoadPart<kWidth, F32>(cos + i, count, &c);
    LoadPart<kWidth, F32>(sin + i, count, &s);
    StorePart<kWidth, T>(a * c - b * s, count, y + i);
    StorePart<kWidth, T>(b * c + a * s, count, y + half + i);
  }
  std::copy(x + 2 * half, x + size, y + 2 * half);
}

template <int kWidth, typename T>
struct Rope {
  static KEEL_INLINE void Run(const RopeRows& r, int64_t begin, int64_t end) {
    using Storage = typename T::Storage;
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < r.heads; ++head) {
        const Storage* x =
            static_cast<const Storage*>(r.x) + row * r.row_stride + head * r.head_stride;
        Storage* y = static_cast<Storage*>(r.y) + (row * r.heads + head) * r.size;
        const int64_t table = row * r.half;
        if (r.wide) {
          WideRopeHead<kWidth, T>(x, static_cast<const float*>(r.cos) + table,
                                  static_cast<const float*>(r.sin) + table, y, r.half, r.size);
        } else {
          RopeHead<kWidth, T>(x, static_cast<const Storage*>(r.cos) + table,
                              static_cast<const Storage*>(r.sin) + table, y, r.half, r.size);
        }
      }
    }
  }
};

// Numbers of one 16-bit or 32-bit type in another.
template <int kWidth, typename T, typename To>
KEEL_INLINE void ConvertRow(const typename T::Storage* x, int64_t size, void* out) {
  auto* y = static_cast<typename To::Storage*>(out);
  for (int64_t i = 0; i < size; i += kLanes) {
    F32x16<kWidth> v;
    LoadPart<kWidth, T>(x + i, size - i, &v);
    StorePart<kWidth, To>(v, size - i, y + i);
  }
}

// A row of `size` numbers into row `slot` of a cache.
template <int kWidth, typename T>
KEEL_INLINE void StoreInSlot(const typename T::Storage* x, int64_t size, KvType stored,
                             int64_t slot, void* cache, float* scales) {
  switch (stored) {
    case KvType::kF32:
      return ConvertRow<kWidth, T, F32>(x, size, static_cast<float*>(cache) + slot * size);
    case KvType::kBF16:
      return ConvertRow<kWidth, T, BF16>(x, size, static_cast<uint16_t*>(cache) + slot * size);
    case KvType::kF16:
      return ConvertRow<kWidth, T, F16>(x, size, static_cast<_Float16*>(cache) + slot * size);
    case KvType::kFp8:
      return EncodeRow<kWidth, T, Fp8>(x, size, static_cast<uint8_t*>(cache) + slot * size,
                                       scales + slot);
    case KvType::kInt8:
      return EncodeRow<kWidth, T, Int8>(x, size, static_cast<int8_t*>(cache) + slot * size,
                                        scales + slot);
  }
}

template <int kWidth, typename T>
struct WriteKv {
  using Storage = typename T::Storage;

  static KEEL_INLINE void Run(const KvRows& r, int64_t begin, int64_t end) {
    // A key is rotated in its own type, and stored as another then.
    std::vector<Storage> rotated(Converts(r) && r.cos != nullptr ? r.k_dim : 0);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t block = r.slots[row] / r.block_size, offset = r.slots[row] % r.block_size;
      for (int64_t head = 0; head < r.heads; ++head) {
        const int64_t slot = (block * r.heads + head) * r.block_size + offset;
        WriteKey(r, row, head, slot, rotated.data());
        if (r.v == nullptr) continue;
        const Storage* v =
            static_cast<const Storage*>(r.v) + row * r.v_row_stride + head * r.v_head_stride;
        Store(r, v, r.v_dim, slot, r.v_cache, r.v_scales);
      }
    }
  }

 private:
  static KEEL_INLINE bool Converts(const KvRows& r) { return r.stored != KvTypeOf(r.type); }

  static KEEL_INLINE void Store(const KvRows& r, const Storage* x, int64_t size, int64_t slot,
                                void* cache, float* scales) {
    if (Converts(r)) return StoreInSlot<kWidth, T>(x, size, r.stored, slot, cache, scales);
    std::copy(x, x + size, static_cast<Storage*>(cache) + slot * size);
  }

  static KEEL_INLINE void WriteKey(const KvRows& r, int64_t row, int64_t head, int64_t slot,
                                   Storage* rotated) {
    const Storage* k =
        static_cast<const Storage*>(r.k) + row * r.k_row_stride + head * r.k_head_stride;
    if (r.cos == nullptr) return Store(r, k, r.k_dim, slot, r.k_cache, r.k_scales);
    Storage* to = Converts(r) ? rotated : static_cast<Storage*>(r.k_cache) + slot * r.k_dim;
    RopeHead<kWidth, T>(k, static_cast<const Storage*>(r.cos) + row * r.half,
                        static_cast<const Storage*>(r.sin) + row * r.half, to, r.half, r.k_dim);
    if (Converts(r)) Store(r, to, r.k_dim, slot, r.k_cache, r.k_scales);
  }
};

// Rows that are worth a thread, of so many elements each.
int64_t GrainOf(int64_t elements) {
  return std::max<int64_t>(1, kElementsAPiece / std::max<int64_t>(1, elements));
}

const RowOpsVariant& Fastest() {
  static const auto* variant = new RowOpsVariant(RowOpsVariants(Cpu()).back());
  return *variant;
}

}  // namespace

std::vector<RowOpsVariant> RowOpsVariants(const CpuFeatures& cpu) {
  return LaneVariants<RowOpsVariant, Norm, Rope, WriteKv>(cpu);
}

void RunNormRows(const NormRows& norm) {
  ParallelFor(norm.rows, GrainOf(norm.size),
              [&](int64_t begin, int64_t end) { Fastest().norm(norm, begin, end); });
}

void RunRope(const RopeRows& rope) {
  ParallelFor(rope.rows, GrainOf(rope.heads * rope.size),
              [&](int64_t begin, int64_t end) { Fastest().rope(rope, begin, end); });
}

void RunWriteKv(const KvRows& kv) {
  ParallelFor(kv.rows, GrainOf(kv.heads * (kv.k_dim + kv.v_dim)),
              [&](int64_t begin, int64_t end) { Fastest().write_kv(kv, begin, end); });
}

void RunRopeAndWriteKv(const RopeRows& rope, const KvRows& kv) {
  const int64_t elements = rope.heads * rope.size + kv.heads * (kv.k_dim + kv.v_dim);
  ParallelFor(rope.rows, GrainOf(elements), [&](int64_t begin, int64_t end) {
    Fastest().rope(rope, begin, end);
    Fastest().write_kv(kv, begin, end);
  });
}

}  // namespace keel
