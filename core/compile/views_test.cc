#include "core/compile/views.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include <string>
#include <vector>

#include "core/compile/testing.h"
#include "gtest/gtest.h"

namespace keel::ir {
namespace {

using testing::kN;

std::vector<Extent> Dims(const std::vector<int64_t>& sizes) {
  std::vector<Extent> dims;
  for (const int64_t size : sizes) dims.push_back({size, "", 1});
  return dims;
}

Value ValueOf(const at::Tensor& x) {
  Value value;
  value.type = {proto::F32, Dims(x.sizes().vec())};
  value.layout = {0, Dims(x.strides().vec())};
  return value;
}

std::vector<int64_t> Sizes(const std::vector<Extent>& extents) {
  std::vector<int64_t> sizes;
  for (const Extent& extent : extents) sizes.push_back(extent.size);
  return sizes;
}

// Where ATen makes a view, so do we, with its strides; where it needs a copy, we say so.
TEST(ViewsTest, ReshapedIsWhatAtenViews) {
  const at::Tensor x = at::arange(2 * 3 * 4 * 5).to(at::kFloat).view({2, 3, 4, 5});
  const std::vector<at::Tensor> froms = {x,
                                         x.permute({1, 0, 2, 3}),
                                         x.permute({0, 1, 3, 2}),
                                         x.narrow(3, 1, 3),
                                         x.narrow(1, 1, 2),
                                         x.select(1, 0),
                                         x.unsqueeze(1)};
  const std::vector<std::vector<int64_t>> shapes = {
      {120},   {6, 20},         {2, 12, 5},   {2, 3, 2, 2, 5}, {3, 2, 20},
      {24, 5}, {2, 3, 4, 5, 1}, {2, 3, 4, 3}, {24, 3},         {2, 2, 20},
      {4, 20}, {8, 5},          {2, 20},      {2, 3, 5, 4},    {1, 6, 20}};
  for (const at::Tensor& from : froms) {
    for (const std::vector<int64_t>& shape : shapes) {
      int64_t elements = 1;
      for (const int64_t size : shape) elements *= size;
      if (elements != from.numel()) continue;
      const std::optional<Layout> layout = Reshaped(ValueOf(from), Dims(shape));
      bool is_view = true;
      try {
        (void)from.view(shape);
      } catch (const c10::Error&) {
        is_view = false;
      }
      ASSERT_EQ(layout.has_value(), is_view) << from.sizes() << " " << from.strides();
      if (!is_view) continue;
      const at::Tensor expected = from.view(shape);
      EXPECT_TRUE(expected.equal(from.as_strided(shape, Sizes(layout->strides))));
    }
  }
}

TEST(ViewsTest, RowsKeepTheirSymbol) {
  Function function;
  const ValueId x = AddValue(function, {proto::F32, {kN, {12, "", 1}}});
  const std::optional<Layout> heads = Reshaped(function.values[x], {kN, {3, "", 1}, {4, "", 1}});
  ASSERT_TRUE(heads.has_value());
  EXPECT_EQ(Sizes(heads->strides), (std::vector<int64_t>{12, 4, 1}));
  // [N, 3, 4] as [3, N, 4]: no copy. Then as rows of 3 N: one.
  const ValueId h = AddView(function, x, {proto::F32, {kN, {3, "", 1}, {4, "", 1}}}, *heads);
  const int64_t order[] = {1, 0, 2};
  const Layout permuted = Permuted(function.values[h], order);
  EXPECT_EQ(Sizes(permuted.strides), (std::vector<int64_t>{4, 12, 1}));
  const ValueId p = AddView(function, h, {proto::F32, {{3, "", 1}, kN, {4, "", 1}}}, permuted);
  EXPECT_FALSE(Reshaped(function.values[p], {{3, kTokens, 1}, {4, "", 1}}).has_value());
}

TEST(ViewsTest, ASliceOfASliceCountsFromTheWhole) {
  Function function;
  const ValueId x = AddValue(function, {proto::F32, {kN, {12, "", 1}}});
  const std::optional<Layout> last = Narrowed(function.values[x], 1, 5);
  const ValueId a = AddView(function, x, {proto::F32, {kN, {7, "", 1}}}, *last);
  const ValueId b =
      AddView(function, a, {proto::F32, {kN, {2, "", 1}}}, *Narrowed(function.values[a], 1, 3));
  EXPECT_EQ(function.values[b].layout.offset, 8);
  EXPECT_EQ(function.values[b].base, x);
  EXPECT_FALSE(IsContiguous(function.values[b]));
  EXPECT_TRUE(IsDenseInLast(function.values[b], 1));
}

}  // namespace
}  // namespace keel::ir
