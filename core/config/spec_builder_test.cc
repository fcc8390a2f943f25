#include "core/config/spec_builder.h"

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An input [first, -1] whose symbol counts `multiple` times.
keel_spec WithInput(int64_t first, int64_t first_multiple, int64_t multiple) {
  keel_spec spec = NewSpec();
  keel_input input = {};
  input.struct_size = sizeof(input);
  input.name = "positions";
  input.dtype = KEEL_I64;
  input.ndim = 2;
  input.dims[0] = first;
  input.dims[1] = -1;
  input.multiples[0] = first_multiple;
  input.multiples[1] = multiple;
  SpecApi().input(&spec, "image", &input);
  return spec;
}

TEST(SpecBuilderTest, KeepsMultiplesOfSymbols) {
  const keel_spec spec = WithInput(2, 0, 4);
  KEEL_ASSERT_OK(spec.status);
  EXPECT_THAT(spec.spec.inputs(0).dims(), ElementsAre(2, -1));
  EXPECT_THAT(spec.spec.inputs(0).multiples(), ElementsAre(1, 4));
  EXPECT_THAT(WithInput(2, 0, 0).spec.inputs(0).multiples(), ElementsAre());
}

TEST(SpecBuilderTest, RefusesInputsWithoutASize) {
  EXPECT_THAT(WithInput(0, 0, 0).status, StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr("dimension 0 of input 'positions'")));
  EXPECT_THAT(WithInput(2, 4, 0).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 with the multiple 4")));
}

}  // namespace
}  // namespace keel
