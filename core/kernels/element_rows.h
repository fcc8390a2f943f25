// Element by element over rows: sums, products, and the activations of an MLP. All are computed in fp32 and rounded to
// the operands' type where `round` stands, so that they give what an operator each would give. An element's bits do not
// depend on where it stands.
#ifndef KEEL_CORE_KERNELS_ELEMENT_ROWS_H_
#define KEEL_CORE_KERNELS_ELEMENT_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

// In order of KEEL_ACT_*.
enum class Act {
  kSilu,       // x / (1 + exp(-x))
  kGelu,       // x / 2 (1 + erf(x / sqrt 2))
  kGeluTanh,   // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kRelu,       // max(x, 0)
  kRelu2,      // round(max(x, 0)^2)
  kQuickGelu,  // x round(sigmoid(round(1.702 x)))
};

enum class ElementOp {
  kAdd,     // round(a + b)
  kSub,     // round(a - b)
  kMul,     // round(a * b)
  kAct,     // round(act(a))
  kActMul,  // round(round(act(a)) * b), a and b limited and b moved before if the fields below say so
};

struct ElementRows {
  KernelType type = KernelType::kF32;
  ElementOp op = ElementOp::kAdd;
  Act act = Act::kSilu;
  const void* a = nullptr;  // [rows, size], rows a_stride elements apart
  const void* b = nullptr;  // likewise; not read by kAct. A stride of 0: one row for all
  void* y = nullptr;        // likewise; may be a or b
  int64_t rows = 0, size = 0, a_stride = 0, b_stride = 0, y_stride = 0;
  // Of kActMul. limit > 0: a is at most that, b within plus and minus that. Then b_offset is added to b. Rounded both.
  float limit = 0, b_offset = 0;
};

// x in fp32.
struct WideElements {
  KernelType type = KernelType::kBF16;  // of x
  const void* x = nullptr;              // [size]
  float* y = nullptr;                   // [size]
  int64_t size = 0;
};

// A way to compute rows [begin, end), of WideElements elements. The first is the plain reference.
struct ElementRowsVariant {
  std::string name;
  void (*run)(const ElementRows&, int64_t begin, int64_t end);
  void (*widen)(const WideElements&, int64_t begin, int64_t end);
};
std::vector<ElementRowsVariant> ElementRowsVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunElementRows(const ElementRows& rows);
void RunWideElements(const WideElements& elements);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ELEMENT_ROWS_H_
