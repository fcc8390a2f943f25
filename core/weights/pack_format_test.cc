#include "core/weights/pack_format.h"

#include <string>
#include <vector>

#include "core/weights/quantized_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;

uint32_t AddLinear(proto::Graph& graph, int64_t out) {
  graph.add_declarations()->mutable_linear()->set_out(out);
  return static_cast<uint32_t>(graph.declarations_size());
}

void AddNode(proto::Function& function, proto::Op op, uint32_t object,
             const std::vector<uint32_t>& inputs, uint32_t output) {
  proto::Node* node = function.add_nodes();
  node->set_op(op);
  node->set_object(object);
  for (const uint32_t input : inputs) node->add_inputs(input);
  node->add_outputs(output);
}

TEST(PackFormatTest, AQuantizationIsAFormatAndNoneTheModelsType) {
  EXPECT_EQ(QuantizedFormat(Quantization::kInt8, DType::kBF16),
            (PackedFormat{WeightType::kInt8, 32}));
  EXPECT_EQ(QuantizedFormat(Quantization::kInt8Group128, DType::kBF16),
            (PackedFormat{WeightType::kInt8, 128}));
  EXPECT_EQ(QuantizedFormat(Quantization::kW8A8, DType::kBF16),
            (PackedFormat{WeightType::kInt8, 32, true}));
  EXPECT_EQ(QuantizedFormat(Quantization::kInt4, DType::kF32),
            (PackedFormat{WeightType::kInt4, 32}));
  EXPECT_EQ(QuantizedFormat(Quantization::kInt4Group128, DType::kF32),
            (PackedFormat{WeightType::kInt4, 128}));
  EXPECT_EQ(PlainFormat(DType::kF32), (PackedFormat{WeightType::kF32}));
  EXPECT_EQ(PlainFormat(DType::kF16), (PackedFormat{WeightType::kF16}));
  EXPECT_EQ(PlainFormat(DType::kBF16), (PackedFormat{WeightType::kBF16}));
}

TEST(PackFormatTest, NamesAreReadAsTheyAreWritten) {
  for (const char* name : kQuantizationNames)
    EXPECT_STREQ(QuantizationName(*QuantizationFromName(name)), name);
  EXPECT_EQ(QuantizationFromName("int2"), std::nullopt);
  EXPECT_EQ(QuantizationFromName(""), std::nullopt);
}

// The formats of a graph's objects where weights are quantized to 4 bits.
std::vector<PackedFormat> FormatsOf(const proto::Graph& graph) {
  return LinearFormats(graph, Quantization::kInt4Group64, DType::kBF16);
}
constexpr PackedFormat kSmall = {WeightType::kInt4, 64}, kOwn = {WeightType::kBF16};

// x -> up (1) -> router (2) -> softmax -> moe; the linear behind the router is an ordinary one.
TEST(PackFormatTest, WhatChoosesExpertsKeepsItsType) {
  for (const bool routed : {false, true}) {
    proto::Graph graph;
    const uint32_t up = AddLinear(graph, 128), router = AddLinear(graph, 64);
    graph.add_declarations()->mutable_moe();
    proto::Function& forward = *graph.add_functions();
    AddNode(forward, proto::OP_LINEAR, up, {1}, 2);
    AddNode(forward, proto::OP_LINEAR, router, {2}, 3);
    AddNode(forward, proto::OP_SOFTMAX, 0, {3}, 4);
    if (routed) {
      AddNode(forward, proto::OP_MOE_ROUTED, 3, {2, 5, 4}, 6);
    } else {
      AddNode(forward, proto::OP_MOE, 3, {2, 4}, 6);
    }
    EXPECT_THAT(FormatsOf(graph), ElementsAre(kSmall, kOwn, kSmall));
  }
}

TEST(PackFormatTest, SoDoTheMatrixOfLatentsAndAFewOutputs) {
  proto::Graph graph;
  const uint32_t kv_up = AddLinear(graph, 128);
  AddLinear(graph, 128);
  AddLinear(graph, kPanel - 1);
  AddLinear(graph, kPanel);
  graph.add_declarations()->mutable_attention()->set_kv_up(kv_up);
  EXPECT_THAT(FormatsOf(graph), ElementsAre(kOwn, kSmall, kOwn, kSmall, kSmall));
}

TEST(PackFormatTest, TheHeadKeepsMoreBitsThanFour) {
  for (const char* function : {"head", "logits", "forward"}) {
    proto::Graph graph;
    AddLinear(graph, 128);
    const uint32_t head = AddLinear(graph, 512);
    graph.add_functions()->set_name(function);
    AddNode(*graph.mutable_functions(0), proto::OP_LINEAR, head, {1}, 2);
    const PackedFormat own = {WeightType::kInt8, 32, true};
    EXPECT_THAT(FormatsOf(graph),
                ElementsAre(kSmall, std::string(function) == "forward" ? kSmall : own));
    for (const Quantization other : {Quantization::kNone, Quantization::kInt8Group128}) {
      const PackedFormat same = QuantizedFormat(other, DType::kF32);
      EXPECT_THAT(LinearFormats(graph, other, DType::kF32), ElementsAre(same, same));
    }
  }
}

}  // namespace
}  // namespace keel
