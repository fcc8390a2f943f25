#include "core/ops/invariant.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/kernels/aten_threads.h"
#include "core/kernels/linear.h"

namespace keel {
namespace {

constexpr int64_t kPiece = 2048;  // elements; whole vectors of every type, far from ATen's grain
constexpr int64_t kPiecesAThread = 8;   // less is not worth waking a thread for
constexpr int64_t kRowsAThread = 16;    // likewise, at some microseconds a row
constexpr int64_t kLongRow = 16 << 10;  // elements; ATen may divide more than 32768 among threads

}  // namespace

at::Tensor InPieces(const at::Tensor& x, TensorFunction f) {
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty(x.sizes(), x.options());
  const int64_t size = x.element_size(), total = x.numel();
  const auto* from = static_cast<const char*>(in.const_data_ptr());
  auto* to = static_cast<char*>(out.mutable_data_ptr());
  ParallelForAten((total + kPiece - 1) / kPiece, kPiecesAThread, [&](int64_t begin, int64_t end) {
    at::Tensor piece = at::empty({kPiece}, x.options());
    for (int64_t i = begin * kPiece; i < std::min(end * kPiece, total); i += kPiece) {
      const int64_t count = std::min(kPiece, total - i);
      auto* data = static_cast<char*>(piece.mutable_data_ptr());
      std::memcpy(data, from + i * size, count * size);
      std::memset(data + count * size, 0, (kPiece - count) * size);
      const at::Tensor y = f(piece);
      TORCH_CHECK(y.is_contiguous() && y.numel() == kPiece && y.scalar_type() == x.scalar_type(),
                  "not a function of elements");
      std::memcpy(to + i * size, y.const_data_ptr(), count * size);
    }
  });
  return out;
}

at::Tensor RowByRow(const at::Tensor& x, TensorFunction f) {
  const int64_t rows = x.size(0);
  if (rows == 0) return f(x);
  const auto row = [&](int64_t i) { return f(x.narrow(0, i, 1).contiguous()); };
  const at::Tensor first = row(0);
  std::vector<int64_t> shape(first.sizes().begin(), first.sizes().end());
  shape[0] = rows;
  at::Tensor out = at::empty(shape, first.options());
  out.narrow(0, 0, 1).copy_(first);
  const auto run = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin + 1; i < end + 1; ++i) out.narrow(0, i, 1).copy_(row(i));
  };
  // A thread that runs a row alone does not divide it further, one that runs all might.
  if (x.numel() / rows > kLongRow) {
    run(0, rows - 1);
  } else {
    ParallelForAten(rows - 1, kRowsAThread, run);
  }
  return out;
}

at::Tensor MatmulInvariant(const at::Tensor& a, const at::Tensor& b) {
  if (b.dim() == 2) return LinearInvariant(a, b.t().contiguous(), {});
  TORCH_CHECK(a.dim() == b.dim() && a.dim() >= 3 && a.size(0) == b.size(0), "matmul of ", a.sizes(),
              " and ", b.sizes(), " has no batch-invariant form; run without --deterministic");
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < a.size(0); ++i) parts.push_back(MatmulInvariant(a[i], b[i]));
  return at::stack(parts);
}

}  // namespace keel
