// The two forms of the example's loops give the same numbers, whatever CPU the tests run on has.
#include "gtest/gtest.h"
#include "sdk/examples/int8_kv/int8_kv.cc"

namespace {

TEST(Int8KvRowsTest, TheBestKernelsOfThisCpuAgreeWithThePlainOnes) {
  const RowKernels best = BestKernels();
  for (const int64_t n : {1, 7, 8, 16, 64, 83}) {
    std::vector<float> q(n), out(n), plain(n);
    std::vector<int8_t> codes(n);
    for (int64_t i = 0; i < n; ++i) {
      q[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i)));
      codes[i] = static_cast<int8_t>(i * 37 % 255 - 127);
      out[i] = plain[i] = static_cast<float>(i) / 3;
    }
    EXPECT_NEAR(best.dot(q.data(), codes.data(), n), DotPlain(q.data(), codes.data(), n), 1e-3);
    best.accumulate(out.data(), 0.25f, -0.5f, codes.data(), n);
    AccumulatePlain(plain.data(), 0.25f, -0.5f, codes.data(), n);
    for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(out[i], plain[i], 1e-4) << i << " of " << n;
  }
}

TEST(Int8KvRowsTest, ACodeIsOffByAtMostHalfAStep) {
  float rows[2][8] = {{1, -2, 3, -4, 5, -6, 7, 0.01f}, {}};
  int64_t shape[] = {2, 1, 8}, strides[] = {8, 8, 1};
  const keel_dl_tensor tensor = {rows, {1, 0}, 3, {2, 32, 1}, shape, strides, 0};
  int8_t codes[16];
  float scales[2];
  keel_dl_tensor code_tensor = tensor, scale_tensor = tensor;
  code_tensor.data = codes, scale_tensor.data = scales;
  for (int64_t row : {0, 1}) {
    Int8KvAttention::QuantizeRow(Row(View(&tensor), row, 0), 8, View(&code_tensor),
                                 View(&scale_tensor), row);
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(static_cast<float>(codes[row * 8 + i]) * scales[row], rows[row][i], 7.0 / 254)
          << row << ", " << i;
    }
  }
}

}  // namespace
