// One model, built from headers of several releases: the host records the same graph of each, and
// refuses by name what it can't know. Arguments: the libraries of growth.c, built from the header as
// it is, a shorter and a longer one, and with all that is optional.
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<std::string> g_plugins;  // as it is, shorter, longer, full
const std::string& Plain() { return g_plugins[0]; }
const std::string& Shorter() { return g_plugins[1]; }
const std::string& Longer() { return g_plugins[2]; }
const std::string& Full() { return g_plugins[3]; }

absl::StatusOr<Recording> Record(const std::string& plugin, int later = 0) {
  return RecordPlugin(plugin, boost::json::object{{"architectures", {"GrowthForCausalLM"}},
                                                  {"of_a_later_release", later}});
}

TEST(GrowthTest, OlderAndLaterHeadersGiveTheSameGraph) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording plain, Record(Plain()));
  for (const std::string& plugin : {Shorter(), Longer()}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const Recording other, Record(plugin));
    EXPECT_EQ(GraphText(other.model.graph), GraphText(plain.model.graph)) << plugin;
  }
}

TEST(GrowthTest, WhatALaterReleaseAsksForIsRefusedByName) {
  EXPECT_THAT(Record(Longer(), /*later=*/1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("an input of forward: byte"), HasSubstr("update keel"))));
}

TEST(GrowthTest, EveryOptionalMemberMayBeSet) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording full, Record(Full()));
  EXPECT_EQ(full.model.graph.functions_size(), 2);  // logits too
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  keel::g_plugins.assign(argv + 1, argv + argc);
  if (keel::g_plugins.size() != 4) return 2;
  return RUN_ALL_TESTS();
}
