#include "core/weights/renames.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <map>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Rename = proto::ModelSpec::Rename;

Rename Rule(Rename::Op op, std::vector<std::string> from, std::vector<std::string> to,
            std::vector<int64_t> sizes = {}, int32_t dim = 0) {
  Rename rule;
  rule.set_op(op);
  rule.set_dim(dim);
  for (const std::string& s : from) rule.add_from(s);
  for (const std::string& s : to) rule.add_to(s);
  rule.mutable_sizes()->Add(sizes.begin(), sizes.end());
  return rule;
}

using Tensors = std::map<std::string, at::Tensor>;

// What the rules make of a checkpoint.
absl::StatusOr<Tensors> Convert(const Tensors& checkpoint, const std::vector<Rename>& rules) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : checkpoint) names.push_back(name);
  std::vector<const Rename*> pointers;
  for (const Rename& rule : rules) pointers.push_back(&rule);
  const auto recipes = PlanTensors(
      names, pointers, [&](const std::string& name) -> absl::StatusOr<std::vector<int64_t>> {
        return checkpoint.at(name).sizes().vec();
      });
  if (!recipes.ok()) return recipes.status();
  Tensors out;
  for (const auto& [name, recipe] : *recipes) {
    const auto made =
        MakeTensor(recipe, [&](const std::string& source) -> absl::StatusOr<at::Tensor> {
          return checkpoint.at(source);
        });
    if (!made.ok()) return made.status();
    out[name] = *made;
  }
  return out;
}

// A column of rows 0, 1 ...: shows which rows went where.
at::Tensor Rows(int64_t n) { return at::arange(n, at::kLong).view({n, 1}); }

std::vector<int64_t> RowsOf(const at::Tensor& x) {
  const at::Tensor flat = x.contiguous().view({-1});
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

TEST(RenamesTest, RenamesOneAfterTheOther) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out,
      Convert({{"gpt.h.3.w1.weight", Rows(1)}, {"other", Rows(2)}},
              {Rule(Rename::RENAME, {R"(gpt\.(.*))"}, {R"(model.\1)"}),
               Rule(Rename::RENAME, {R"((.*\.)w1\.(\w+))"}, {R"(\1gate_proj.\2)"})}));
  EXPECT_EQ(out.size(), 2u);
  EXPECT_EQ(out.count("model.h.3.gate_proj.weight"), 1u);
  EXPECT_EQ(out.count("other"), 1u);
}

TEST(RenamesTest, IgnoresWhatItIsTold) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Tensors out, Convert({{"mtp.0.weight", Rows(1)}},
                                                       {Rule(Rename::IGNORE, {R"(mtp\..*)"}, {})}));
  EXPECT_TRUE(out.empty());
}

TEST(RenamesTest, ConcatenatesInTheOrderOfThePatterns) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out, Convert({{"a.up", Rows(2) + 10}, {"a.gate", Rows(2)}},
                                 {Rule(Rename::CONCATENATE, {"a.gate", "a.up"}, {"a.gate_up"})}));
  EXPECT_THAT(RowsOf(out.at("a.gate_up")), ElementsAre(0, 1, 10, 11));
}

TEST(RenamesTest, StacksByTheNumberInTheName) {
  Tensors checkpoint;
  for (int e = 0; e < 11; ++e) checkpoint["x." + std::to_string(e) + ".w"] = at::tensor({e});
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out, Convert(checkpoint, {Rule(Rename::STACK, {R"(x\.(\d+)\.w)"}, {"x.w"})}));
  EXPECT_EQ(out.at("x.w").sizes(), (at::IntArrayRef{11, 1}));
  EXPECT_EQ(out.at("x.w")[10].item<int64_t>(), 10);
}

TEST(RenamesTest, SplitsIntoEqualPartsOrSizes) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors equal,
      Convert({{"qkv", Rows(6)}}, {Rule(Rename::SPLIT, {"qkv"}, {"q", "k", "v"})}));
  EXPECT_THAT(RowsOf(equal.at("k")), ElementsAre(2, 3));
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors sized,
      Convert({{"qkv", Rows(6)}}, {Rule(Rename::SPLIT, {"qkv"}, {"q", "k", "v"}, {4, 1, 1})}));
  EXPECT_THAT(RowsOf(sized.at("q")), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(RowsOf(sized.at("v")), ElementsAre(5));
}

TEST(RenamesTest, TransposesTheLastTwo) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Tensors out,
                            Convert({{"c_fc", at::arange(6, at::kLong).view({2, 3})}},
                                    {Rule(Rename::TRANSPOSE, {"c_fc"}, {"up"})}));
  EXPECT_THAT(RowsOf(out.at("up")), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(RenamesTest, DealsInterleavedRowsOut) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out,
      Convert({{"gate_up", Rows(6)}}, {Rule(Rename::INTERLEAVE, {"gate_up"}, {"gate", "up"})}));
  EXPECT_THAT(RowsOf(out.at("gate")), ElementsAre(0, 2, 4));
  EXPECT_THAT(RowsOf(out.at("up")), ElementsAre(1, 3, 5));
}

TEST(RenamesTest, TurnsInterleavedPairsOfAHeadIntoHalves) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out,
      Convert({{"q", Rows(8)}}, {Rule(Rename::PERMUTE_ROPE, {"q"}, {"q2"}, {4})}));
  EXPECT_THAT(RowsOf(out.at("q2")), ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
}

TEST(RenamesTest, DealsOutQueriesKeysAndValuesOfEachHead) {
  // BLOOM and GPT-NeoX: q, k, v of one head, then of the next; biases alike.
  const Rename rule = Rule(Rename::CHUNK_HEADS, {R"(qkv\.(weight|bias))"},
                           {R"(q.\1)", R"(k.\1)", R"(v.\1)"}, {2, 2, 2});
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out,
      Convert({{"qkv.weight", Rows(12)}, {"qkv.bias", at::arange(12, at::kLong)}}, {rule}));
  EXPECT_THAT(RowsOf(out.at("q.weight")), ElementsAre(0, 1, 6, 7));
  EXPECT_THAT(RowsOf(out.at("k.bias")), ElementsAre(2, 3, 8, 9));
  EXPECT_THAT(RowsOf(out.at("v.weight")), ElementsAre(4, 5, 10, 11));
  // Falcon: the queries of a group, its key, its value.
  KEEL_ASSERT_OK_AND_ASSIGN(const Tensors grouped,
                            Convert({{"qkv", Rows(8)}}, {Rule(Rename::CHUNK_HEADS, {"qkv"},
                                                              {"q", "k", "v"}, {2, 1, 1})}));
  EXPECT_THAT(RowsOf(grouped.at("q")), ElementsAre(0, 1, 4, 5));
  EXPECT_THAT(RowsOf(grouped.at("k")), ElementsAre(2, 6));
}

TEST(RenamesTest, TakesAStackApart) {
  const at::Tensor stack = at::arange(12, at::kLong).view({3, 2, 2});
  KEEL_ASSERT_OK_AND_ASSIGN(const Tensors out,
                            Convert({{"x.up", stack}}, {Rule(Rename::UNSTACK, {R"((x)\.(up))"},
                                                             {R"(\1.{e}.\2.weight)"})}));
  EXPECT_EQ(out.size(), 3u);
  EXPECT_THAT(RowsOf(out.at("x.1.up.weight")), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(out.at("x.1.up.weight").data_ptr(), stack[1].data_ptr()) << "it was copied";
  // DBRX: the experts' rows one after the other.
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors rows,
      Convert({{"w1", Rows(6)}}, {Rule(Rename::UNSTACK, {"w1"}, {"{e}.w1"}, {2})}));
  EXPECT_EQ(rows.size(), 3u);
  EXPECT_THAT(RowsOf(rows.at("2.w1")), ElementsAre(4, 5));
}

// gpt_oss: [experts, in, 2 out], gate and up in turn.
TEST(RenamesTest, RulesArePasses) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors out,
      Convert({{"gate_up", at::arange(24, at::kLong).view({2, 3, 4})}},
              {Rule(Rename::TRANSPOSE, {"gate_up"}, {"gate_up.t"}),
               Rule(Rename::INTERLEAVE, {R"(gate_up\.t)"}, {"gate", "up"}, {}, 1),
               Rule(Rename::UNSTACK, {"(gate|up)"}, {R"({e}.\1)"})}));
  EXPECT_EQ(out.size(), 4u);
  EXPECT_EQ(out.at("0.gate").sizes(), (at::IntArrayRef{2, 3}));
  EXPECT_THAT(RowsOf(out.at("0.gate")), ElementsAre(0, 4, 8, 2, 6, 10));
  EXPECT_THAT(RowsOf(out.at("1.up")), ElementsAre(13, 17, 21, 15, 19, 23));
  // Slices that are put together again.
  KEEL_ASSERT_OK_AND_ASSIGN(
      const Tensors again,
      Convert({{"w", Rows(3)}}, {Rule(Rename::UNSTACK, {"w"}, {"w.{e}"}),
                                 Rule(Rename::CONCATENATE, {R"(w\.2)", R"(w\.0)"}, {"v"})}));
  EXPECT_THAT(RowsOf(again.at("v")), ElementsAre(2, 0));
  EXPECT_THAT(RowsOf(again.at("w.1")), ElementsAre(1));
}

TEST(RenamesTest, NamesWhatDoesNotFit) {
  EXPECT_THAT(
      Convert({{"w", Rows(7)}}, {Rule(Rename::UNSTACK, {"w"}, {"w.{e}"}, {2})}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("UNSTACK of w: it is [7, 1], expected at most 65536 slices of 2")));
  EXPECT_THAT(Convert({{"w", Rows(7)}}, {Rule(Rename::UNSTACK, {"w"}, {"v"})}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("{e} in its to")));
  EXPECT_THAT(
      Convert({{"qkv", Rows(7)}}, {Rule(Rename::CHUNK_HEADS, {"qkv"}, {"q", "k", "v"}, {2, 2, 2})}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CHUNK_HEADS of qkv")));
  EXPECT_THAT(Convert({{"x.0.w", Rows(1)}, {"x.2.w", Rows(1)}},
                      {Rule(Rename::STACK, {R"(x\.(\d+)\.w)"}, {"x.w"})}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("part 1")));
  EXPECT_THAT(Convert({{"a", Rows(1)}, {"b", Rows(1)}}, {Rule(Rename::RENAME, {"a"}, {"b"})}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("become b")));
  EXPECT_THAT(Convert({{"a", Rows(1)}}, {Rule(Rename::RENAME, {"a"}, {R"(\1)"})}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a group")));
  EXPECT_THAT(Convert({{"a", Rows(1)}}, {Rule(Rename::SPLIT, {"a"}, {"b", "c"}, {1})}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a size for each to")));
}

}  // namespace
}  // namespace keel
