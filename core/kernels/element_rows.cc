#include "core/kernels/element_rows.h"

#include <algorithm>

#include "core/kernels/lane_variants.h"
#include "core/kernels/lanes_math.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr int64_t kElementsAPiece = 16 << 10;  // less is not worth waking a thread for

// erf(x) to some ulps by a rational function; it is 1 in fp32 from 4 on.
template <int kWidth>
KEEL_INLINE void Erf(typename Vector<kWidth>::F32* x) {
  using F = typename Vector<kWidth>::F32;
  F v = *x;
  v = v < -4.0f ? F{} - 4.0f : v;
  v = v > 4.0f ? F{} + 4.0f : v;
  const F s = v * v;
  F p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  F q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  *x = v * p / q;
}

// 1 / (1 + exp(-x))
template <int kWidth>
KEEL_INLINE void Sigmoid(typename Vector<kWidth>::F32* x) {
  typename Vector<kWidth>::F32 e = -*x;
  Exp<kWidth>(&e);
  *x = 1.0f / (1.0f + e);
}

// Sixteen elements; rounds between the steps of an activation that has some.
template <int kWidth, typename T>
KEEL_INLINE void Activate(Act act, F32x16<kWidth>* x) {
  using F = typename Vector<kWidth>::F32;
  switch (act) {
    case Act::kSilu:
      KEEL_EACH_PART_OF(kWidth) {
        F e = -x->part[i];
        Exp<kWidth>(&e);
        x->part[i] = x->part[i] / (1.0f + e);
      }
      return;
    case Act::kGelu:
      KEEL_EACH_PART_OF(kWidth) {
        F e = x->part[i] * 0.70710678118654752f;
        Erf<kWidth>(&e);
        x->part[i] = x->part[i] * 0.5f * (1.0f + e);
      }
      return;
    case Act::kGeluTanh:  // (1 + tanh(u)) / 2 is sigmoid(2 u)
      KEEL_EACH_PART_OF(kWidth) {
        const F v = x->part[i];
        F u = 1.5957691216057308f * (v + 0.044715f * (v * v * v));
        Sigmoid<kWidth>(&u);
        x->part[i] = v * u;
      }
      return;
    case Act::kRelu:
    case Act::kRelu2:
      KEEL_EACH_PART_OF(kWidth) x->part[i] = x->part[i] < 0.0f ? F{} : x->part[i];
      if (act == Act::kRelu2) *x = *x * *x;
      return;
    case Act::kQuickGelu: {
      F32x16<kWidth> s = *x * 1.702f;
      T::RoundLanes(&s);
      KEEL_EACH_PART_OF(kWidth) Sigmoid<kWidth>(&s.part[i]);
      T::RoundLanes(&s);
      *x = *x * s;
      return;
    }
  }
}

// What ElementRows::limit and ::b_offset do to sixteen elements of both operands.
template <int kWidth, typename T>
KEEL_INLINE void LimitAndMove(const ElementRows& r, F32x16<kWidth>* a, F32x16<kWidth>* b) {
  using F = typename Vector<kWidth>::F32;
  if (r.limit > 0) {
    const F most = F{} + r.limit, least = F{} - r.limit;
    KEEL_EACH_PART_OF(kWidth) {
      a->part[i] = a->part[i] > most ? most : a->part[i];
      b->part[i] = b->part[i] > most ? most : b->part[i];
      b->part[i] = b->part[i] < least ? least : b->part[i];
    }
    T::RoundLanes(a);
    T::RoundLanes(b);
  }
  if (r.b_offset != 0) {
    KEEL_EACH_PART_OF(kWidth) b->part[i] = b->part[i] + r.b_offset;
    T::RoundLanes(b);
  }
}

template <int kWidth, typename T>
KEEL_INLINE void Compute(const ElementRows& r, const typename T::Storage* a,
                         const typename T::Storage* b, typename T::Storage* y) {
  F32x16<kWidth> x, z;
  T::LoadLanes(a, &x);
  if (r.op != ElementOp::kAct) T::LoadLanes(b, &z);
  switch (r.op) {
    case ElementOp::kAdd:
      x = x + z;
      break;
    case ElementOp::kSub:
      x = x - z;
      break;
    case ElementOp::kMul:
      x = x * z;
      break;
    case ElementOp::kAct:
      Activate<kWidth, T>(r.act, &x);
      break;
    case ElementOp::kActMul:
      LimitAndMove<kWidth, T>(r, &x, &z);
      Activate<kWidth, T>(r.act, &x);
      T::RoundLanes(&x);
      x = x * z;
      break;
  }
  T::StoreLanes(x, y);
}

template <int kWidth, typename T>
struct Elements {
  static KEEL_INLINE void Run(const ElementRows& r, int64_t begin, int64_t end) {
    using Storage = typename T::Storage;
    for (int64_t row = begin; row < end; ++row) {
      const Storage* a = static_cast<const Storage*>(r.a) + row * r.a_stride;
      const Storage* b = r.op == ElementOp::kAct
                             ? a  // not read
                             : static_cast<const Storage*>(r.b) + row * r.b_stride;
      Storage* y = static_cast<Storage*>(r.y) + row * r.y_stride;
      int64_t i = 0;
      for (; i + kLanes <= r.size; i += kLanes) Compute<kWidth, T>(r, a + i, b + i, y + i);
      if (i == r.size) continue;
      Storage last_a[kLanes] = {}, last_b[kLanes] = {}, last_y[kLanes];
      std::copy(a + i, a + r.size, last_a);
      std::copy(b + i, b + r.size, last_b);
      Compute<kWidth, T>(r, last_a, last_b, last_y);
      std::copy(last_y, last_y + (r.size - i), y + i);
    }
  }
};

template <int kWidth, typename T>
struct Widen {
  static KEEL_INLINE void Run(const WideElements& w, int64_t begin, int64_t end) {
    const auto* x = static_cast<const typename T::Storage*>(w.x);
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      F32x16<kWidth> wide;
      T::LoadLanes(x + i, &wide);
      F32::StoreLanes(wide, w.y + i);
    }
    for (; i < end; ++i) w.y[i] = T::Load(x + i);
  }
};

const ElementRowsVariant& Fastest() {
  static const auto* variant = new ElementRowsVariant(ElementRowsVariants(Cpu()).back());
  return *variant;
}

}  // namespace

std::vector<ElementRowsVariant> ElementRowsVariants(const CpuFeatures& cpu) {
  return LaneVariants<ElementRowsVariant, Elements, Widen>(cpu);
}

void RunElementRows(const ElementRows& rows) {
  const int64_t grain = std::max<int64_t>(1, kElementsAPiece / std::max<int64_t>(1, rows.size));
  ParallelFor(rows.rows, grain,
              [&](int64_t begin, int64_t end) { Fastest().run(rows, begin, end); });
}

void RunWideElements(const WideElements& elements) {
  ParallelFor(elements.size, kElementsAPiece,
              [&](int64_t begin, int64_t end) { Fastest().widen(elements, begin, end); });
}

}  // namespace keel
