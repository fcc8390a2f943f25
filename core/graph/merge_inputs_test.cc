// Inputs of a tower as Qwen2.5-VL's: pixels of patches, four to a token, where they are, which see each other, and tokens in
// another order.
#include "core/graph/merge_inputs.h"

#include <cstring>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/graph/encoder_inputs.h"
#include "core/graph/types.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Dims = std::vector<int64_t>;

template <typename T>
HostTensor Tensor(DType dtype, Dims dims, const std::vector<T>& values) {
  HostTensor out{dtype, std::move(dims), {}};
  out.bytes.resize(values.size() * sizeof(T));
  std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
  return out;
}
HostTensor Floats(Dims dims, const std::vector<float>& values) {
  return Tensor(DType::kF32, std::move(dims), values);
}
HostTensor Longs(Dims dims, const std::vector<int64_t>& values) {
  return Tensor(DType::kI64, std::move(dims), values);
}
HostTensor Ints(const std::vector<int32_t>& values) {
  return Tensor(DType::kI32, {static_cast<int64_t>(values.size())}, values);
}

template <typename T>
std::vector<T> ValuesOf(const HostTensor& tensor) {
  const auto* begin = reinterpret_cast<const T*>(tensor.bytes.data());
  return {begin, begin + tensor.bytes.size() / sizeof(T)};
}

class MergeInputsTest : public ::testing::Test {
 protected:
  MergeInputsTest() {
    encode_.set_name("encode/image");
    const Extent patches{4, "S1", 1}, tokens{1, "S1", 1};
    Add("pixel_values", {proto::MODEL, {patches, {2, "", 1}}}, KEEL_MERGE_ROWS);
    Add("positions", {proto::I64, {{2, "", 1}, patches}}, KEEL_MERGE_ROWS);
    Add("cu_seqlens", {proto::I32, {{1, "S2", 1}}}, KEEL_MERGE_BORDERS);
    Add("window_index", {proto::I64, {tokens}}, KEEL_MERGE_INDICES);
    Rule("window_index").set_index_symbol(-1);
    Rule("window_index").set_index_multiple(1);
    encode_.add_outputs(4);  // a row for a token
  }

  void Add(const std::string& name, const TensorType& type, uint32_t merge) {
    proto::Function::Input& input = *encode_.add_inputs();
    input.set_name(name);
    *input.mutable_type() = ToProto(type);
    proto::ModelSpec::Input& rule = *spec_.add_inputs();
    rule.set_graph("image");
    rule.set_name(name);
    rule.set_dtype(static_cast<uint32_t>(type.dtype));
    rule.set_merge(merge);
    for (const Extent& extent : type.dims) rule.add_dims(extent.symbolic() ? -1 : extent.size);
  }
  proto::ModelSpec::Input& Rule(const std::string& name) {
    for (proto::ModelSpec::Input& rule : *spec_.mutable_inputs())
      if (rule.name() == name) return rule;
    ADD_FAILURE() << name;
    return *spec_.add_inputs();
  }

  // One of so many tokens, in reverse order, whose patches see each other.
  static NamedTensors Item(int32_t tokens, float pixel) {
    const int64_t patches = 4 * tokens;
    std::vector<int64_t> positions, index;
    for (int64_t i = 0; i < 2 * patches; ++i) positions.push_back(i);
    for (int64_t i = tokens - 1; i >= 0; --i) index.push_back(i);
    return {{"pixel_values", Floats({patches, 2}, std::vector<float>(2 * patches, pixel))},
            {"positions", Longs({2, patches}, positions)},
            {"cu_seqlens", Ints({0, 4 * tokens})},
            {"window_index", Longs({tokens}, index)}};
  }

  absl::StatusOr<NamedTensors> Merged(std::initializer_list<const NamedTensors*> items) const {
    const std::vector<const NamedTensors*> pointers = items;
    return MergeInputs(spec_, encode_, pointers);
  }

  proto::ModelSpec spec_;
  proto::Function encode_;
};

TEST_F(MergeInputsTest, PutsItemsOneBehindTheOther) {
  ASSERT_TRUE(CanMergeInputs(spec_, encode_));
  const NamedTensors a = Item(1, 0.5F), b = Item(2, 1.5F);
  KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors both, Merged({&a, &b}));
  const HostTensor& pixels = both.at("pixel_values");
  EXPECT_EQ(pixels.dims, (Dims{12, 2}));
  std::vector<float> expected(8, 0.5F);
  expected.resize(24, 1.5F);
  EXPECT_EQ(ValuesOf<float>(pixels), expected);
  EXPECT_EQ(both.at("positions").dims, (Dims{2, 12}));  // along the second
  EXPECT_THAT(ValuesOf<int64_t>(both.at("positions")),
              ElementsAre(0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7,  //
                          4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  EXPECT_THAT(ValuesOf<int32_t>(both.at("cu_seqlens")), ElementsAre(0, 4, 12));
  EXPECT_THAT(ValuesOf<int64_t>(both.at("window_index")), ElementsAre(0, 2, 1));
  KEEL_ASSERT_OK_AND_ASSIGN(const SymbolSizes sizes, CheckInputs(encode_, both));
  EXPECT_EQ(sizes.at("S1"), 3);
  KEEL_ASSERT_OK_AND_ASSIGN(const int64_t rows, RowsOfEncode(encode_, sizes));
  EXPECT_EQ(rows, 3);
}

TEST_F(MergeInputsTest, LeavesOneItemAsItIs) {
  const NamedTensors item = Item(3, 0.25F);
  KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors merged, Merged({&item}));
  for (const auto& [name, tensor] : item) {
    EXPECT_EQ(merged.at(name).dims, tensor.dims) << name;
    EXPECT_EQ(merged.at(name).bytes, tensor.bytes) << name;
  }
}

TEST_F(MergeInputsTest, CountsTheRowsThatIndicesAreInto) {
  Rule("window_index").set_index_multiple(10);
  NamedTensors a = Item(2, 0), b = Item(2, 0);
  a["window_index"] = Longs({2}, {19, -1});  // of 20; -1 stays what it is
  KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors both, Merged({&a, &b}));
  EXPECT_THAT(ValuesOf<int64_t>(both.at("window_index")), ElementsAre(19, -1, 21, 20));
}

TEST_F(MergeInputsTest, TakesOneItemWhereAnInputHasNoRule) {
  Rule("positions").set_merge(KEEL_MERGE_NONE);
  EXPECT_FALSE(CanMergeInputs(spec_, encode_));
  Rule("positions").set_merge(KEEL_MERGE_ROWS);
  EXPECT_TRUE(CanMergeInputs(spec_, encode_));
  Rule("positions").set_name("places");
  EXPECT_FALSE(CanMergeInputs(spec_, encode_));
}

// A file's functions may be others than its spec says.
TEST_F(MergeInputsTest, TakesOneItemWhereRulesAreAboutOtherInputs) {
  Rule("window_index").set_index_symbol(-7);
  EXPECT_FALSE(CanMergeInputs(spec_, encode_));
  Rule("window_index").set_index_symbol(-1);
  Rule("window_index").set_dtype(KEEL_I32);
  EXPECT_FALSE(CanMergeInputs(spec_, encode_));
  Rule("window_index").set_dtype(KEEL_I64);
  encode_.mutable_inputs(1)->mutable_type()->mutable_dims(0)->set_symbol("S3");
  EXPECT_FALSE(CanMergeInputs(spec_, encode_));
}

TEST_F(MergeInputsTest, RefusesItemsByName) {
  const NamedTensors good = Item(1, 0);
  const auto refused = [&](const NamedTensors& item, const char* expected) {
    EXPECT_THAT(Merged({&good, &item}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(expected)));
  };
  NamedTensors item = good;
  item["pixel_values"] = Floats({4, 3}, std::vector<float>(12));
  refused(item, "encode/image: input 'pixel_values' is float32 [4, 3], expected");
  item = good;
  item["pixel_values"] = Tensor(DType::kF16, {4, 2}, std::vector<uint16_t>(8));
  refused(item, "input 'pixel_values': is float32 in one item and float16 in another");
  item = good;
  item["positions"] = Longs({2, 8}, std::vector<int64_t>(16));  // those of two tokens
  refused(item, "input 'positions' is int64 [2, 8], expected I64[2, 4S1] with S1 = 1");
  item = good;
  item["cu_seqlens"] = Ints({1, 4});
  refused(item, "input 'cu_seqlens': has the border 1, expected running sums from 0 on");
  item = good;
  item["cu_seqlens"] = Ints({0, 4, 2});
  refused(item, "has the border 2");
  item = good;
  item["cu_seqlens"] = Ints({});
  refused(item, "has no borders");
  item = good;
  item["window_index"] = Longs({1}, {1});
  refused(item, "input 'window_index': has the index 1, expected less than 1, its item's rows");
  item = good;
  item.erase("positions");
  refused(item, "input 'positions' is missing");
}

TEST_F(MergeInputsTest, RefusesSumsThatTheirTypeDoesNotHold) {
  NamedTensors a = Item(1, 0), b = Item(1, 0);
  a["cu_seqlens"] = b["cu_seqlens"] = Ints({0, 2'000'000'000});
  EXPECT_THAT(Merged({&a, &b}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("input 'cu_seqlens': has 4000000000, more than int32 holds")));
}

}  // namespace
}  // namespace keel
