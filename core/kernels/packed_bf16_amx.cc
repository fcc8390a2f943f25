// bf16 on CPUs with AMX: many rows by libtorch's GEMM of small matrices, which drives the tiles, few rows and what is
// left over by dot products. That GEMM takes panels as they are packed.
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/kernels/packed_linear_variants.h"

#if defined(__x86_64__)
#include "core/kernels/packed_epilogue.h"

namespace keel {
namespace {

// libtorch generates code for each number of rows, inputs and columns that it is called with, once a thread: one
// number of rows keeps these few. Tiles have 16 rows, and two of them share a load of weights.
constexpr int64_t kRows = 32;

// The variant of dot products.
const PackedLinearVariant& Dots() {
  static const auto& dots = *new PackedLinearVariant([] {
    CpuFeatures cpu;
    cpu.avx2 = cpu.avx512 = cpu.avx512_bf16 = true;
    std::vector<PackedLinearVariant> variants;
    AppendPackedFloat(cpu, &variants);
    return variants.back();
  }());
  return dots;
}

bool Takes(const PackedFormat& format, KernelType type) { return Dots().takes(format, type); }

int64_t RowBytes(const PackedFormat& format, int64_t k) { return Dots().row_bytes(format, k); }

void Convert(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  Dots().convert(linear, row_begin, row_end, rows);
}

KEEL_TARGET_AVX512 void StoreRows(const PackedLinear& linear, int64_t row, int64_t column,
                                  int64_t end, const float* sums) {
  for (int64_t i = 0; i < kRows; ++i, sums += kPanel) {
    packed::StoreRow<16>(linear, row + i, column, end, sums);
  }
}

void Run(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  const int64_t stride = RowBytes(linear.format, linear.k);
  const int64_t k = (linear.k + 1) / 2 * 2;
  const int64_t panel_bytes = PanelBytes(linear.format, linear.k);
  const int64_t blocks = (part.row_end - part.row_begin) / kRows;
  alignas(64) float sums[kRows * kPanel];
  for (int64_t column = part.column_begin, next = 0; blocks > 0 && column < part.column_end;
       column = next) {
    next = std::min((column / kPanel + 1) * kPanel, part.column_end);
    const int64_t columns = (next - column + kSplit - 1) / kSplit * kSplit;
    const char* w = static_cast<const char*>(linear.weights) + column / kPanel * panel_bytes +
                    column % kPanel * 4;
    for (int64_t block = 0; block < blocks; ++block) {
      at::native::cpublas::brgemm(kRows, columns, k, stride / 2, kPanel, kPanel, /*add_C=*/false,
                                  reinterpret_cast<const at::BFloat16*>(
                                      static_cast<const char*>(rows) + block * kRows * stride),
                                  reinterpret_cast<const at::BFloat16*>(w), sums);
      StoreRows(linear, part.row_begin + block * kRows, column, next, sums);
    }
  }
  if (blocks > 0) at::native::cpublas::brgemm_release();
  PackedLinearPart rest = part;
  rest.row_begin += blocks * kRows;
  if (rest.row_begin < rest.row_end) {
    Dots().run(linear, static_cast<const char*>(rows) + blocks * kRows * stride, rest);
  }
}

}  // namespace

void AppendPackedAmx(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (cpu.amx_bf16 && cpu.avx512_bf16) {
    variants->push_back({"amx_bf16", Takes, RowBytes, Convert, Run});
  }
}

}  // namespace keel
#endif
