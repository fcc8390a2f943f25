#include "core/ops/recur.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/tensor/aten.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int64_t kChannels = 20, kKernel = 4;

proto::Node ConvNode(bool bias) {
  proto::Node node;
  node.set_op(proto::OP_RECUR);
  node.add_ints(KEEL_RECUR_CAUSAL_CONV1D);
  node.add_names("weight");
  node.add_ints(0);
  if (!bias) return node;
  node.add_names("bias");
  node.add_ints(1);
  return node;
}

at::Tensor Random(at::IntArrayRef dims, at::ScalarType type) { return at::randn(dims).to(type); }

struct Sequence {
  int32_t slot;
  int64_t tokens;
};

// What a step with these sequences gives for `x`, whose rows are theirs in order.
at::Tensor Step(const at::Tensor& x, const std::vector<at::Tensor>& arguments, at::Tensor states,
                const std::vector<Sequence>& sequences) {
  std::vector<at::Tensor> inputs = {x};
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  std::vector<int32_t> slots, cu_q = {0};
  for (const Sequence& s : sequences) {
    slots.push_back(s.slot);
    cu_q.push_back(cu_q.back() + static_cast<int32_t>(s.tokens));
  }
  const auto y = RunRecurrence(ConvNode(arguments.size() > 1), inputs, states, slots, cu_q);
  EXPECT_TRUE(y.ok()) << y.status();
  return *y;
}

class RecurTest : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(RecurTest, AStepGivesEachSequenceWhatItWouldHaveAloneInOnePass) {
  const at::ScalarType type = GetParam();
  const at::Tensor a = Random({9, kChannels}, type), b = Random({5, kChannels}, type);
  const std::vector<at::Tensor> arguments = {Random({kChannels, kKernel}, type),
                                             Random({kChannels}, type)};
  const auto states = [&] { return at::zeros({4, kChannels, kKernel - 1}, type); };
  const at::Tensor whole_a = Step(a, arguments, states(), {{0, 9}});
  const at::Tensor whole_b = Step(b, arguments, states(), {{0, 5}});
  EXPECT_EQ(whole_a.scalar_type(), type);

  at::Tensor shared = states();
  const at::Tensor first =
      Step(at::cat({b.narrow(0, 0, 1), a.narrow(0, 0, 4)}), arguments, shared, {{3, 1}, {1, 4}});
  const at::Tensor second =
      Step(at::cat({a.narrow(0, 4, 5), b.narrow(0, 1, 4)}), arguments, shared, {{1, 5}, {3, 4}});
  EXPECT_TRUE(at::cat({first.narrow(0, 1, 4), second.narrow(0, 0, 5)}).equal(whole_a));
  EXPECT_TRUE(at::cat({first.narrow(0, 0, 1), second.narrow(0, 5, 4)}).equal(whole_b));
  for (const int64_t slot : {0, 2}) EXPECT_EQ(at::abs(shared[slot]).sum().item<double>(), 0);
}

TEST_P(RecurTest, WhatMayBeLeftOutCountsAsNothing) {
  const at::ScalarType type = GetParam();
  const at::Tensor x = Random({3, kChannels}, type), weight = Random({kChannels, kKernel}, type);
  const auto states = [&] { return at::zeros({1, kChannels, kKernel - 1}, type); };
  EXPECT_TRUE(Step(x, {weight}, states(), {{0, 3}})
                  .equal(Step(x, {weight, at::zeros({kChannels}, type)}, states(), {{0, 3}})));
}

// One head of one channel with one state: h = exp(d A) h + d x B, y = h C + D x.
TEST(RecurSsdTest, TakesItsArgumentsByName) {
  proto::Node node;
  node.set_op(proto::OP_RECUR);
  node.add_ints(KEEL_RECUR_SSD);
  std::vector<at::Tensor> inputs = {at::full({2, 1, 1}, 3.0)};  // x
  const auto add = [&](const char* name, const at::Tensor& tensor) {
    node.add_names(name);
    node.add_ints(static_cast<int64_t>(inputs.size()) - 1);
    inputs.push_back(tensor);
  };
  // Not in the order of the header; a limit between them.
  add("D", at::full({1}, 10.0));
  add("C", at::full({2, 1, 1}, 7.0));
  node.add_names("dt_max");
  node.add_ints(-1);
  node.add_reals(0.5);
  add("A", at::full({1}, -2.0));
  add("dt", at::full({2, 1}, 100.0));
  add("B", at::full({2, 1, 1}, 5.0));
  at::Tensor states = at::full({2, 1, 1, 1}, 1.0);
  const auto y = RunRecurrence(node, inputs, states, {1}, {0, 2});
  ASSERT_TRUE(y.ok()) << y.status();
  double h = 1;
  for (const int64_t token : {0, 1}) {
    h = std::exp(0.5 * -2) * h + 0.5 * 3 * 5;
    EXPECT_NEAR((*y)[token].item<double>(), h * 7 + 10 * 3, 1e-4);
  }
  EXPECT_NEAR(states[1].item<double>(), h, 1e-5);
  EXPECT_EQ(states[0].item<double>(), 1);
}

// What a node of that kind with these arguments gives for two tokens, or the status.
absl::StatusOr<at::Tensor> RunKind(uint32_t kind, const at::Tensor& x,
                                   const std::vector<std::pair<const char*, at::Tensor>>& arguments,
                                   const at::Tensor& states) {
  proto::Node node;
  node.set_op(proto::OP_RECUR);
  node.add_ints(kind);
  std::vector<at::Tensor> inputs = {x};
  for (const auto& [name, tensor] : arguments) {
    node.add_names(name);
    node.add_ints(static_cast<int64_t>(inputs.size()) - 1);
    inputs.push_back(tensor);
  }
  return RunRecurrence(node, inputs, states, {1}, {0, 2});
}

// One channel or head of one element each, from a state of 1, in the slot that was asked for.
TEST(RecurKindsTest, TakeTheirArgumentsByName) {
  const auto tokens = [](double x, int dims) {
    return at::full(dims == 2 ? std::vector<int64_t>{2, 1} : std::vector<int64_t>{2, 1, 1}, x);
  };
  const auto expect = [](const absl::StatusOr<at::Tensor>& y, const at::Tensor& states,
                         const std::function<double(double)>& next, double in_y, double beside) {
    ASSERT_TRUE(y.ok()) << y.status();
    double h = 1;
    for (const int64_t token : {0, 1}) {
      h = next(h);
      EXPECT_NEAR((*y)[token].item<double>(), h * in_y + beside, 1e-3);
    }
    EXPECT_NEAR(states[1].item<double>(), h, 1e-4);
    EXPECT_EQ(states[0].item<double>(), 1);
  };
  at::Tensor states = at::full({2, 1, 1}, 1.0);
  // softplus is the identity this far out.
  expect(
      RunKind(KEEL_RECUR_SELECTIVE_SCAN, tokens(3, 2),
              {{"D", at::full({1}, 10.0)},
               {"C", tokens(7, 2)},
               {"B", tokens(5, 2)},
               {"A", at::full({1, 1}, -0.01)},
               {"dt_bias", at::full({1}, 20.0)},
               {"dt", tokens(30, 2)}},
              states),
      states, [](double h) { return std::exp(-0.5) * h + 50 * 3 * 5; }, 7, 30);
  states = at::full({2, 1, 1, 1}, 1.0);
  expect(
      RunKind(KEEL_RECUR_GATED_DELTA, tokens(3, 3),
              {{"beta", tokens(0.5, 2)},
               {"g", tokens(-0.25, 2)},
               {"v", tokens(7, 3)},
               {"k", tokens(0.75, 3)}},
              states),
      states,
      [](double h) {
        h *= std::exp(-0.25);
        return h + 0.75 * 0.5 * (7 - h * 0.75);
      },
      3, 0);
  states = at::full({2, 1, 1, 1}, 1.0);
  expect(
      RunKind(KEEL_RECUR_LINEAR_ATTENTION, tokens(3, 3),
              {{"g", tokens(-0.25, 3)}, {"v", tokens(7, 3)}, {"k", tokens(0.75, 3)}}, states),
      states, [](double h) { return std::exp(-0.25) * h + 0.75 * 7; }, 3, 0);
  states = at::full({2, 1}, 1.0);
  expect(
      RunKind(KEEL_RECUR_SCAN, tokens(3, 2), {{"a", tokens(0.5, 2)}}, states), states,
      [](double h) { return 0.5 * h + 3; }, 1, 0);
}

TEST(RecurRowsTest, OthersThanTheStepsAreRefusedBeforeAKernelWalksThem) {
  for (const int64_t rows : {1, 3}) {  // of a step of two tokens
    EXPECT_THAT(RunKind(KEEL_RECUR_SCAN, at::full({rows, 1}, 3.0),
                        {{"a", at::full({rows, 1}, 0.5)}}, at::full({2, 1}, 1.0)),
                testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                  ::testing::HasSubstr("rows in a step of 2 tokens")));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RecurTest, ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace keel
