#include "core/config/spec_builder.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

keel_spec WithInput(const char* graph, keel_input input) {
  keel_spec spec = NewSpec();
  input.struct_size = sizeof(input);
  SpecApi().input(&spec, graph, &input);
  return spec;
}

// An input [first, -1] whose symbol counts `multiple` times.
keel_spec WithInput(int64_t first, int64_t first_multiple, int64_t multiple) {
  keel_input input = {};
  input.name = "positions";
  input.dtype = KEEL_I64;
  input.ndim = 2;
  input.dims[0] = first;
  input.dims[1] = -1;
  input.multiples[0] = first_multiple;
  input.multiples[1] = multiple;
  return WithInput("image", input);
}

TEST(SpecBuilderTest, KeepsMultiplesOfSymbols) {
  const keel_spec spec = WithInput(2, 0, 4);
  KEEL_ASSERT_OK(spec.status);
  EXPECT_THAT(spec.spec.inputs(0).dims(), ElementsAre(2, -1));
  EXPECT_THAT(spec.spec.inputs(0).multiples(), ElementsAre(1, 4));
  EXPECT_THAT(WithInput(2, 0, 0).spec.inputs(0).multiples(), ElementsAre());
}

// An input [-1] of `graph` with the rule `merge`.
keel_spec WithMerge(const char* graph, uint32_t merge, uint32_t dtype, int64_t index_symbol = 0,
                    int64_t index_multiple = 0) {
  keel_input input = {};
  input.name = "x";
  input.dtype = dtype;
  input.ndim = 1;
  input.dims[0] = -1;
  input.merge = merge;
  input.index_symbol = index_symbol;
  input.index_multiple = index_multiple;
  return WithInput(graph, input);
}

TEST(SpecBuilderTest, KeepsTheMergeRulesOfEncodersInputs) {
  const keel_spec rows = WithMerge("image", KEEL_MERGE_ROWS, KEEL_F32);
  KEEL_ASSERT_OK(rows.status);
  EXPECT_EQ(rows.spec.inputs(0).merge(), KEEL_MERGE_ROWS);
  const keel_spec indices = WithMerge("audio", KEEL_MERGE_INDICES, KEEL_I64, -2);
  KEEL_ASSERT_OK(indices.status);
  EXPECT_EQ(indices.spec.inputs(0).index_symbol(), -2);
  EXPECT_EQ(indices.spec.inputs(0).index_multiple(), 1);
}

TEST(SpecBuilderTest, RefusesMergeRulesThatMeanNothing) {
  const auto refused = [](const keel_spec& spec, const char* expected) {
    EXPECT_THAT(spec.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(expected)));
  };
  refused(WithMerge("image", 9, KEEL_F32), "KEEL_MERGE_NONE to KEEL_MERGE_INDICES");
  refused(WithMerge("forward", KEEL_MERGE_ROWS, KEEL_F32), "put together for encode");
  refused(WithMerge("image", KEEL_MERGE_BORDERS, KEEL_I64), "of type i32");
  refused(WithMerge("image", KEEL_MERGE_INDICES, KEEL_F32, -1), "type i64 or i32");
  refused(WithMerge("image", KEEL_MERGE_INDICES, KEEL_I64), "index_symbol -1, -2");
  refused(WithMerge("image", KEEL_MERGE_ROWS, KEEL_F32, -1), "else both 0");
  keel_input input = {};
  input.name = "x";
  input.dtype = KEEL_F32;
  input.ndim = 1;
  input.dims[0] = 3;
  input.merge = KEEL_MERGE_ROWS;
  refused(WithInput("image", input), "exactly one dimension that is a symbol");
}

// Nothing is read through a NULL: the call is refused, naming what is missing.
TEST(SpecBuilderTest, RefusesEveryTextThatIsNull) {
  const keel_spec_api& api = SpecApi();
  const char* const names[] = {"x", nullptr};
  const auto refused = [&](const char* what, auto call) {
    keel_spec spec = NewSpec();
    call(&spec);
    EXPECT_THAT(spec.status, StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr(absl::StrCat(what, " is NULL"))));
  };
  refused("the field of set_int", [&](keel_spec* s) { api.set_int(s, nullptr, 1); });
  refused("the field of set_real", [&](keel_spec* s) { api.set_real(s, nullptr, 1); });
  refused("the field of set_string", [&](keel_spec* s) { api.set_string(s, nullptr, "x"); });
  refused("lm_head", [&](keel_spec* s) { api.set_string(s, "lm_head", nullptr); });
  refused("the pattern of tp_plan", [&](keel_spec* s) { api.tp_plan(s, nullptr, "colwise"); });
  refused("tp_plan: the style of x", [&](keel_spec* s) { api.tp_plan(s, "x", nullptr); });
  refused("the child of pp_plan",
          [&](keel_spec* s) { api.pp_plan(s, nullptr, names, 1, names, 1); });
  refused("pp_plan: inputs of x[1]",
          [&](keel_spec* s) { api.pp_plan(s, "x", names, 2, names, 1); });
  refused("pp_plan: outputs of x",
          [&](keel_spec* s) { api.pp_plan(s, "x", names, 1, nullptr, 1); });
  refused("the rule of rename", [&](keel_spec* s) { api.rename(s, nullptr); });
  keel_rename rename{};
  rename.struct_size = sizeof(rename), rename.num_from = 2, rename.from = names;
  refused("rename: from[1]", [&](keel_spec* s) { api.rename(s, &rename); });
  rename.num_from = rename.num_to = 1;
  refused("rename: to", [&](keel_spec* s) { api.rename(s, &rename); });
  keel_input input{};
  input.struct_size = sizeof(input);
  refused("the graph of input", [&](keel_spec* s) { api.input(s, nullptr, &input); });
  refused("an input of image", [&](keel_spec* s) { api.input(s, "image", nullptr); });
  refused("the name of an input of image", [&](keel_spec* s) { api.input(s, "image", &input); });
}

TEST(SpecBuilderTest, RefusesInputsWithoutASize) {
  EXPECT_THAT(WithInput(0, 0, 0).status, StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr("dimension 0 of input 'positions'")));
  EXPECT_THAT(WithInput(2, 4, 0).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 with the multiple 4")));
}

// Rules and inputs of another header's shape.
TEST(SpecBuilderTest, TakesShorterStructsAndRefusesWhatItDoesNotKnow) {
  const keel_spec_api& api = SpecApi();
  const char* const names[] = {"x"};
  keel_rename rename{};
  rename.struct_size = offsetof(keel_rename, sizes), rename.from = names, rename.to = names;
  rename.num_from = rename.num_to = 1;
  const int64_t garbage[] = {-1};
  rename.sizes = garbage;  // beyond the struct
  keel_spec spec = NewSpec();
  api.rename(&spec, &rename);
  KEEL_EXPECT_OK(spec.status);
  EXPECT_THAT(spec.spec.renames(0).sizes(), ElementsAre());

  rename.struct_size = sizeof(rename), rename.sizes = nullptr, rename.reserved = 1;
  api.rename(&spec, &rename);
  EXPECT_THAT(spec.status, StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("the rule of rename: reserved is 1, expected 0")));

  keel_spec other = NewSpec();
  keel_input input{};
  input.name = "x";
  api.input(&other, "image", &input);
  EXPECT_THAT(other.status, StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("an input of image: struct_size is 0")));
}

// create makes each layer: no config may ask for 2^30 of them.
TEST(SpecBuilderTest, RefusesMoreLayersThanAnyModelHas) {
  keel_spec spec = NewSpec();
  for (const char* field : {"hidden_size", "vocab_size"}) SpecApi().set_int(&spec, field, 8);
  SpecApi().set_int(&spec, "num_layers", 1 << 16);
  KEEL_EXPECT_OK(CheckSpec(spec));
  for (const int64_t layers : {int64_t{0}, int64_t{1} << 28}) {
    SpecApi().set_int(&spec, "num_layers", layers);
    EXPECT_THAT(CheckSpec(spec),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("num_layers is ", layers, ", expected 1 to"))));
  }
}

}  // namespace
}  // namespace keel
