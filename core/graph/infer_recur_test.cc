#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/graph/op_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

Extent Size(int64_t size) { return {size, "", 1}; }
const Extent kTokens{1, "N", 1};

TensorType Model(std::vector<Extent> dims) { return {proto::MODEL, std::move(dims)}; }

// One recurrence: its state, its operand, its arguments.
struct Recurrence {
  uint32_t kind, state_kind;
  std::vector<int64_t> state;
  TensorType x;
  std::vector<std::pair<std::string, TensorType>> tensors;
  std::vector<std::string> numbers;

  TensorType& operator[](const std::string& name) {
    for (auto& [n, type] : tensors) {
      if (n == name) return type;
    }
    return tensors.emplace_back(name, TensorType()).second;
  }
  void Drop(const std::string& name) {
    std::erase_if(tensors, [&](const auto& argument) { return argument.first == name; });
  }

  absl::StatusOr<TensorType> Infer() const {
    proto::Graph graph;
    proto::Declaration* d = graph.add_declarations();
    d->set_name("s");
    d->mutable_state()->set_kind(state_kind);
    for (const int64_t size : state) d->mutable_state()->mutable_type()->add_dims()->set_size(size);
    proto::Node node;
    node.set_op(proto::OP_RECUR);
    node.set_object(1);
    node.add_ints(kind);
    std::vector<const TensorType*> inputs = {&x};
    for (const auto& [name, type] : tensors) {
      node.add_names(name);
      node.add_ints(static_cast<int64_t>(inputs.size()) - 1);
      inputs.push_back(&type);
    }
    for (const std::string& name : numbers) {
      node.add_names(name);
      node.add_ints(-1);
      node.add_reals(1);
    }
    absl::StatusOr<std::vector<TensorType>> types = InferTypes(graph, node, inputs);
    if (!types.ok()) return types.status();
    return types->front();
  }
};

Recurrence Conv() {
  return {KEEL_RECUR_CAUSAL_CONV1D,
          KEEL_STATE_CONV,
          {96, 3},
          Model({kTokens, Size(96)}),
          {{"weight", Model({Size(96), Size(4)})}, {"bias", Model({Size(96)})}},
          {}};
}

Recurrence Ssd() {
  const TensorType grouped = Model({kTokens, Size(2), Size(8)});
  const TensorType per_head{proto::F32, {Size(4)}};
  return {KEEL_RECUR_SSD,
          KEEL_STATE_SSM,
          {4, 16, 8},
          Model({kTokens, Size(4), Size(16)}),
          {{"dt", Model({kTokens, Size(4)})},
           {"A", per_head},
           {"B", grouped},
           {"C", grouped},
           {"D", per_head},
           {"dt_bias", per_head}},
          {"dt_min", "dt_max"}};
}

Recurrence Selective() {
  const TensorType tokens = Model({kTokens, Size(12)}), states = Model({kTokens, Size(8)});
  const TensorType per_channel{proto::F32, {Size(12)}};
  return {KEEL_RECUR_SELECTIVE_SCAN,
          KEEL_STATE_SSM,
          {12, 8},
          tokens,
          {{"dt", tokens},
           {"A", {proto::F32, {Size(12), Size(8)}}},
           {"B", states},
           {"C", states},
           {"D", per_channel},
           {"dt_bias", per_channel}},
          {}};
}

Recurrence Delta() {
  const TensorType keys = Model({kTokens, Size(2), Size(8)}), per_head = Model({kTokens, Size(4)});
  return {KEEL_RECUR_GATED_DELTA,
          KEEL_STATE_DELTA,
          {4, 8, 16},
          keys,
          {{"k", keys},
           {"v", Model({kTokens, Size(4), Size(16)})},
           {"g", per_head},
           {"beta", per_head}},
          {}};
}

Recurrence Scan() {
  const TensorType x = Model({kTokens, Size(12)});
  return {KEEL_RECUR_SCAN, KEEL_STATE_OTHER, {12}, x, {{"a", x}}, {}};
}

auto Refused(const std::string& text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
}

TEST(InferRecurrenceTest, GivesTheShapeOfItsOperand) {
  EXPECT_THAT(Conv().Infer(), testing::IsOkAndHolds(Conv().x));
  EXPECT_THAT(Ssd().Infer(), testing::IsOkAndHolds(Ssd().x));
  EXPECT_THAT(Selective().Infer(), testing::IsOkAndHolds(Selective().x));
  EXPECT_THAT(Scan().Infer(), testing::IsOkAndHolds(Scan().x));
}

TEST(InferRecurrenceTest, DeltaRulesAndLinearAttentionGiveTheShapeOfTheirValues) {
  Recurrence delta = Delta(), by_channel = Delta(), linear = Delta();
  EXPECT_THAT(delta.Infer(), testing::IsOkAndHolds(delta["v"]));
  by_channel["g"] = Model({kTokens, Size(4), Size(8)});
  EXPECT_THAT(by_channel.Infer(), testing::IsOkAndHolds(delta["v"]));
  linear.kind = KEEL_RECUR_LINEAR_ATTENTION;
  EXPECT_THAT(linear.Infer(), Refused("has the argument 'beta', expected k, v, g"));
  linear.Drop("beta");
  EXPECT_THAT(linear.Infer(), testing::IsOkAndHolds(delta["v"]));
  linear.Drop("g");
  EXPECT_THAT(linear.Infer(), testing::IsOkAndHolds(delta["v"]));
  for (const char* name : {"k", "v", "g", "beta"}) {
    Recurrence lacks = Delta(), other = Delta();
    lacks.Drop(name);
    EXPECT_THAT(lacks.Infer(), Refused(std::string(name) + " is missing"));
    other[name].dims.back() = Size(5);
    EXPECT_THAT(other.Infer(), Refused(std::string(name) + " is ")) << name;
  }
  Recurrence groups = Delta();
  groups.x.dims[1] = groups["k"].dims[1] = Size(3);
  EXPECT_THAT(groups.Infer(), Refused("[N, groups, 8] and groups that divide 4 heads"));
  Recurrence two = Delta();
  two["k"].dims[1] = Size(4);  // q has 2
  EXPECT_THAT(two.Infer(), Refused("k is MODEL[N, 4, 8], expected floating point [N, 2, 8]"));
}

TEST(InferRecurrenceTest, AnArgumentOfTokensHasARowForEach) {
  Recurrence scan = Scan();
  scan["a"].dims[0] = Size(7);
  EXPECT_THAT(scan.Infer(), Refused("a is MODEL[7, 12], expected floating point [N, 12]"));
}

TEST(InferRecurrenceTest, MayLackOptionalArguments) {
  Recurrence conv = Conv(), ssd = Ssd();
  conv.Drop("bias");
  for (const char* name : {"D", "dt_bias"}) ssd.Drop(name);
  ssd.numbers.clear();
  KEEL_EXPECT_OK(conv.Infer());
  KEEL_EXPECT_OK(ssd.Infer());
}

TEST(InferRecurrenceTest, NamesAMissingArgument) {
  Recurrence conv = Conv();
  conv.Drop("weight");
  EXPECT_THAT(conv.Infer(), Refused("weight is missing, expected floating point [96, 4]"));
  for (const char* name : {"dt", "A", "B", "C"}) {
    Recurrence ssd = Ssd();
    ssd.Drop(name);
    EXPECT_THAT(ssd.Infer(), Refused(std::string(name) + " is missing"));
  }
}

TEST(InferRecurrenceTest, RefusesArgumentsThatDoNotFitTheState) {
  Recurrence conv = Conv();
  conv["weight"].dims[1] = Size(3);  // the state's size, not the kernel's
  EXPECT_THAT(conv.Infer(), Refused("weight is MODEL[96, 3], expected floating point [96, 4]"));
  for (const char* name : {"dt", "A", "B", "C", "D", "dt_bias"}) {
    Recurrence ssd = Ssd();
    ssd[name].dims.back() = Size(5);
    EXPECT_THAT(ssd.Infer(), Refused(std::string(name) + " is ")) << name;
    Recurrence selective = Selective();
    selective[name].dims.back() = Size(5);
    EXPECT_THAT(selective.Infer(), Refused(std::string(name) + " is ")) << name;
  }
  Recurrence groups = Ssd();
  groups["B"].dims[1] = groups["C"].dims[1] = Size(3);
  EXPECT_THAT(groups.Infer(), Refused("groups that divide 4 heads"));
  Recurrence integers = Ssd();
  integers["A"].dtype = proto::I64;
  EXPECT_THAT(integers.Infer(), Refused("A is I64[4]"));
}

TEST(InferRecurrenceTest, RefusesUnknownAndRepeatedArguments) {
  Recurrence unknown = Ssd(), repeated = Ssd(), tensor = Ssd();
  unknown["z"] = unknown.x;
  EXPECT_THAT(unknown.Infer(), Refused("has the argument 'z', expected dt, A, B"));
  repeated.numbers = {"dt_min", "dt_min"};
  EXPECT_THAT(repeated.Infer(), Refused("'dt_min' twice"));
  tensor.numbers = {};
  tensor["dt_max"] = Model({Size(1)});
  EXPECT_THAT(tensor.Infer(), Refused("dt_max is a tensor"));
}

TEST(InferRecurrenceTest, RefusesAnotherKindOfState) {
  Recurrence conv = Conv(), ssd = Ssd();
  conv.state_kind = KEEL_STATE_OTHER;
  ssd.state.pop_back();
  EXPECT_THAT(conv.Infer(), Refused("expected floating point and KEEL_STATE_CONV"));
  EXPECT_THAT(ssd.Infer(), Refused("expected floating point and KEEL_STATE_SSM"));
}

TEST(InferRecurrenceTest, RefusesAKindThatItDoesNotKnow) {
  Recurrence ssd = Ssd();
  for (const uint32_t kind : {0u, 99u}) {
    ssd.kind = kind;
    EXPECT_THAT(ssd.Infer(), Refused(" is not known, expected KEEL_RECUR_*, 1 to 6"));
  }
}

}  // namespace
}  // namespace keel
