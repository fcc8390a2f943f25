#include "core/kernels/element_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

float Widened(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}
uint16_t Narrowed(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double Exact(Act act, double x) {
  switch (act) {
    case Act::kSilu:
      return x / (1 + std::exp(-x));
    case Act::kGelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Act::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Act::kRelu:
      return std::max(x, 0.0);
    case Act::kRelu2:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Act::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return 0;
}

constexpr Act kActs[] = {Act::kSilu, Act::kGelu,  Act::kGeluTanh,
                         Act::kRelu, Act::kRelu2, Act::kQuickGelu};

ElementRows One(ElementOp op, const std::vector<float>& a, const std::vector<float>& b,
                std::vector<float>& y) {
  ElementRows rows;
  rows.op = op;
  rows.a = a.data(), rows.b = b.data(), rows.y = y.data();
  rows.rows = 1, rows.size = static_cast<int64_t>(a.size());
  return rows;
}

TEST(ElementRowsTest, ActivationsOfEveryVariantAreTheFormulaInFp64) {
  std::vector<float> x;
  for (float v = -30; v < 30; v += 0.0173f) x.push_back(v);
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-30f, 88.5f, -88.5f, 200.0f, -200.0f, 1e30f})
    x.push_back(v);
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    for (const Act act : kActs) {
      std::vector<float> y(x.size());
      ElementRows rows = One(ElementOp::kAct, x, x, y);
      rows.act = act;
      variant.run(rows, 0, 1);
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = Exact(act, x[i]);
        if (std::abs(exact) > 3e38) continue;
        EXPECT_NEAR(y[i], exact, 4e-7 * std::abs(exact) + 1.5e-7 * std::min(6.0f, std::abs(x[i])))
            << variant.name << ", activation " << static_cast<int>(act) << " of " << x[i];
      }
    }
  }
}

TEST(ElementRowsTest, NotANumberStaysOne) {
  const std::vector<float> x = {NAN}, other = {1};
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    for (const Act act : {Act::kSilu, Act::kGelu, Act::kGeluTanh, Act::kQuickGelu}) {
      std::vector<float> y(1);
      ElementRows rows = One(ElementOp::kActMul, x, other, y);
      rows.act = act;
      variant.run(rows, 0, 1);
      EXPECT_TRUE(std::isnan(y[0])) << variant.name;
    }
  }
}

// What an operator after the other gives in bf16, for strided rows of every length.
TEST(ElementRowsTest, StepsAreRoundedInEveryVariant) {
  constexpr int64_t kRows = 3, kStride = 57;
  std::vector<uint16_t> a, b;
  for (int64_t i = 0; i < kRows * kStride; ++i) {
    a.push_back(Narrowed(std::sin(static_cast<float>(i)) * 3));
    b.push_back(Narrowed(std::cos(static_cast<float>(i) * 7)));
  }
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    for (const int64_t size : {1, 15, 16, 17, 50}) {
      for (const ElementOp op :
           {ElementOp::kAdd, ElementOp::kSub, ElementOp::kMul, ElementOp::kActMul}) {
        std::vector<uint16_t> y(kRows * kStride, 7);
        ElementRows rows;
        rows.type = KernelType::kBF16, rows.op = op, rows.act = Act::kRelu;
        rows.a = a.data(), rows.b = b.data(), rows.y = y.data();
        rows.rows = kRows, rows.size = size;
        rows.a_stride = rows.y_stride = kStride, rows.b_stride = 0;
        variant.run(rows, 0, kRows);
        for (int64_t r = 0; r < kRows; ++r) {
          for (int64_t i = 0; i < kStride; ++i) {
            const float u = Widened(a[r * kStride + i]), v = Widened(b[i]);
            const float exact = op == ElementOp::kAdd   ? u + v
                                : op == ElementOp::kSub ? u - v
                                : op == ElementOp::kMul ? u * v
                                                        : std::max(u, 0.0f) * v;
            EXPECT_EQ(y[r * kStride + i], i < size ? Narrowed(exact) : 7) << variant.name;
          }
        }
      }
    }
  }
}

// As a clamp, a sum and a product would be one after the other.
TEST(ElementRowsTest, OperandsAreLimitedAndMovedBefore) {
  const std::vector<float> a = {-9, 0.5f, 1.25f, 9}, b = {-9, 9, 0.1f, -0.1f};
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    std::vector<float> y(4);
    ElementRows rows = One(ElementOp::kActMul, a, b, y);
    rows.act = Act::kRelu, rows.limit = 1, rows.b_offset = 0.5f;
    variant.run(rows, 0, 1);
    for (int i = 0; i < 4; ++i) {
      const float left = std::max(0.0f, std::min(a[i], 1.0f));
      EXPECT_EQ(y[i], left * (std::clamp(b[i], -1.0f, 1.0f) + 0.5f)) << variant.name;
    }
    rows.limit = 0;
    variant.run(rows, 0, 1);
    EXPECT_EQ(y[3], 9 * (-0.1f + 0.5f)) << variant.name;

    const uint16_t one = Narrowed(1), small = Narrowed(0x1p-9f);
    uint16_t sum = 0;
    rows.type = KernelType::kBF16;
    rows.a = &one, rows.b = &small, rows.y = &sum, rows.size = 1, rows.b_offset = 1;
    variant.run(rows, 0, 1);
    EXPECT_EQ(sum, one) << variant.name << " did not round what it moved";
  }
}

// An element's bits are the same wherever it stands, so that one request's neighbours change nothing.
TEST(ElementRowsTest, AnElementDoesNotKnowItsPlace) {
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    for (const Act act : kActs) {
      const std::vector<float> x(37, 1.234567f);
      std::vector<float> y(x.size());
      ElementRows rows = One(ElementOp::kAct, x, x, y);
      rows.act = act;
      variant.run(rows, 0, 1);
      for (const float v : y) EXPECT_EQ(v, y[0]) << variant.name;
    }
  }
}

TEST(ElementRowsTest, SixteenBitsAreWidenedToTheSameNumbers) {
  std::vector<uint16_t> bf16;
  std::vector<_Float16> f16;
  for (int i = 0; i < 0x10000; i += 7) {
    bf16.push_back(static_cast<uint16_t>(i));
    f16.push_back(static_cast<_Float16>(static_cast<float>(i) * 0.37f - 9000));
  }
  for (const ElementRowsVariant& variant : ElementRowsVariants(Cpu())) {
    for (const KernelType type : {KernelType::kBF16, KernelType::kF16}) {
      std::vector<float> y(bf16.size(), -1);
      WideElements elements;
      elements.type = type;
      elements.x = type == KernelType::kBF16 ? static_cast<const void*>(bf16.data()) : f16.data();
      elements.y = y.data();
      elements.size = static_cast<int64_t>(y.size());
      variant.widen(elements, 5, elements.size - 3);
      for (size_t i = 5; i + 3 < y.size(); ++i) {
        const float expected =
            type == KernelType::kBF16 ? Widened(bf16[i]) : static_cast<float>(f16[i]);
        EXPECT_TRUE(y[i] == expected || (std::isnan(y[i]) && std::isnan(expected)))
            << variant.name << ", element " << i;
      }
      for (const size_t i : {size_t{4}, y.size() - 3}) EXPECT_EQ(y[i], -1) << variant.name;
    }
  }
}

}  // namespace
}  // namespace keel
