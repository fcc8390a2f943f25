#include "core/graph/features.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

TEST(FeaturesTest, SaysWhatTheHostKnows) {
  const keel_features_api& api = FeaturesApi();
  EXPECT_EQ(api.has("op.compare"), 1);
  EXPECT_EQ(api.has("op.call"), 1);
  EXPECT_EQ(api.has(absl::StrCat("rename.", KEEL_RENAME_UNSTACK).c_str()), 1);
  EXPECT_EQ(api.has(absl::StrCat("merge.", KEEL_MERGE_INDICES).c_str()), 1);
  EXPECT_EQ(api.has("attention.arg.sinks"), 1);
  EXPECT_EQ(api.has("attention.arg.groups"), 1);
  EXPECT_EQ(api.has("forward.features"), 1);
  EXPECT_EQ(api.has("op.teleport"), 0);
  EXPECT_EQ(api.has("op."), 0);
  EXPECT_EQ(api.has(""), 0);
  EXPECT_EQ(api.has(nullptr), 0);
}

// The recurrences are those that types are inferred for.
TEST(FeaturesTest, ListsTheRecurrencesThatAreServed) {
  proto::Graph graph;
  graph.add_declarations()->mutable_state()->set_kind(KEEL_STATE_OTHER + 1);
  const TensorType x{proto::F32, {{1, "N", 1}}};
  for (uint32_t kind = 0; kind < 32; ++kind) {
    const absl::Status status = InferTypes(graph, op::Recur::Make(1, kind), {&x}).status();
    const bool served =
        !absl::IsUnimplemented(status) && !absl::StrContains(status.message(), "is not known");
    EXPECT_EQ(HasFeature(absl::StrCat("recur.", kind)), served) << kind << ": " << status;
  }
}

}  // namespace
}  // namespace keel
