#include "core/ops/conv.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/randn.h>

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

struct Sizes {
  int64_t in, out, groups;
  std::vector<int64_t> kernel, stride, padding, space;
  bool bias;
};

// One, two and three dimensions; overlapping patches and not, groups, depthwise.
const Sizes kSizes[] = {
    {6, 10, 1, {1}, {1}, {0}, {9}, true},
    {6, 10, 2, {3}, {2}, {1}, {9}, true},
    {8, 8, 8, {4}, {1}, {3}, {11}, false},
    {3, 5, 1, {2, 3}, {2, 1}, {0, 1}, {8, 7}, true},
    {4, 6, 2, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {4, 4, 6}, false},
    {3, 8, 1, {2, 4}, {2, 4}, {0, 0}, {6, 9}, true},
    {3, 8, 1, {2, 4, 4}, {2, 4, 4}, {0, 0, 0}, {2, 4, 4}, false},
};

proto::Conv ConvOf(const Sizes& s) {
  proto::Conv conv;
  conv.set_in(s.in), conv.set_out(s.out), conv.set_groups(s.groups), conv.set_bias(s.bias);
  conv.mutable_kernel()->Assign(s.kernel.begin(), s.kernel.end());
  conv.mutable_stride()->Assign(s.stride.begin(), s.stride.end());
  conv.mutable_padding()->Assign(s.padding.begin(), s.padding.end());
  return conv;
}

ConvWeight WeightOf(const Sizes& s) {
  std::vector<int64_t> shape = {s.out, s.in / s.groups};
  shape.insert(shape.end(), s.kernel.begin(), s.kernel.end());
  return {at::randn(shape), s.bias ? at::randn({s.out}) : at::Tensor()};
}

at::Tensor Items(const Sizes& s, int64_t items) {
  std::vector<int64_t> shape = {items, s.in};
  shape.insert(shape.end(), s.space.begin(), s.space.end());
  return at::randn(shape);
}

bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.sizes() == y.sizes() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

TEST(ConvTest, TheInvariantFormComputesWhatATensDoes) {
  for (const Sizes& s : kSizes) {
    const proto::Conv conv = ConvOf(s);
    const ConvWeight w = WeightOf(s);
    const at::Tensor x = Items(s, 3);
    const at::Tensor fast = RunConv(conv, w, x, Numerics::kFastest);
    const at::Tensor invariant = RunConv(conv, w, x, Numerics::kInvariant);
    ASSERT_EQ(invariant.sizes(), fast.sizes());
    EXPECT_LT((invariant - fast).abs().max().item<double>(), 1e-5) << s.kernel.size();
  }
}

// Their rest, if they don't fill the space, is left out.
TEST(ConvTest, PatchesSideBySideAreWhatATenSays) {
  const Sizes& flat = kSizes[5];
  const ConvWeight w = WeightOf(flat);
  const at::Tensor x = Items(flat, 3);
  const at::Tensor expected = at::conv2d(x, w.weight, w.bias, {2, 4});
  const at::Tensor out = RunConv(ConvOf(flat), w, x, Numerics::kFastest);
  ASSERT_EQ(out.sizes(), expected.sizes());
  EXPECT_LT((out - expected).abs().max().item<double>(), 1e-5);
  const Sizes& deep = kSizes[6];
  const ConvWeight v = WeightOf(deep);
  const at::Tensor y = Items(deep, 5);
  const at::Tensor expected_deep = at::conv3d(y, v.weight, {}, {2, 4, 4});
  const at::Tensor out_deep = RunConv(ConvOf(deep), v, y, Numerics::kFastest);
  ASSERT_EQ(out_deep.sizes(), expected_deep.sizes());
  EXPECT_LT((out_deep - expected_deep).abs().max().item<double>(), 1e-5);
}

TEST(ConvTest, AnItemHasTheSameBitsAloneAndAmongOthers) {
  for (const Sizes& s : kSizes) {
    const proto::Conv conv = ConvOf(s);
    const ConvWeight w = WeightOf(s);
    const at::Tensor x = Items(s, 7), all = RunConv(conv, w, x, Numerics::kInvariant);
    for (int64_t i = 0; i < 7; ++i) {
      const at::Tensor alone = RunConv(conv, w, x.narrow(0, i, 1).clone(), Numerics::kInvariant);
      EXPECT_TRUE(SameBits(alone, all.narrow(0, i, 1))) << i;
    }
  }
}

TEST(ConvTest, ARowOfAConvolutionOfSingleRowsHasTheSameBitsInAnyBatch) {
  const Sizes s = kSizes[0];
  const proto::Conv conv = ConvOf(s);
  const ConvWeight w = WeightOf(s);
  const at::Tensor x = at::randn({37, s.in}), all = RunConv(conv, w, x, Numerics::kInvariant);
  EXPECT_EQ(all.sizes(), (std::vector<int64_t>{37, s.out}));
  for (int64_t i = 0; i < 37; ++i) {
    const at::Tensor alone = RunConv(conv, w, x.narrow(0, i, 1).clone(), Numerics::kInvariant);
    EXPECT_TRUE(SameBits(alone, all.narrow(0, i, 1))) << i;
  }
}

TEST(ConvTest, RowsThatAreOneItemAreConvolvedAcross) {
  const Sizes s = kSizes[1];
  const at::Tensor x = at::randn({9, s.in});
  const proto::Conv conv = ConvOf(s);
  const ConvWeight w = WeightOf(s);
  const at::Tensor as_item = x.transpose(0, 1).unsqueeze(0).contiguous();
  for (const Numerics numerics : {Numerics::kFastest, Numerics::kInvariant}) {
    const at::Tensor rows = RunConv(conv, w, x, numerics);
    const at::Tensor item = RunConv(conv, w, as_item, numerics);
    EXPECT_TRUE(SameBits(rows, item.squeeze(0).transpose(0, 1)));
  }
}

}  // namespace
}  // namespace keel
