// Arguments: pairs of a plugin's library and a directory with a config.json. Loaded one beside the
// other, in one order and in the other, each records what it records alone.
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

std::vector<std::pair<std::string, std::string>> g_models;  // library, directory

TEST(TogetherTest, EachRecordsBesideTheOthersWhatItRecordsAlone) {
  std::map<std::string, std::string> alone;
  for (const auto& [library, dir] : g_models) {
    KEEL_ASSERT_OK_AND_ASSIGN(const Recording recording, RecordDirectory(library, dir));
    alone[library] = GraphText(recording.model.graph);
  }
  for (const bool backwards : {false, true}) {
    std::vector<Recording> loaded;  // all at once
    for (size_t i = 0; i < g_models.size(); ++i) {
      const auto& [library, dir] = g_models[backwards ? g_models.size() - 1 - i : i];
      KEEL_ASSERT_OK_AND_ASSIGN(Recording recording, RecordDirectory(library, dir));
      EXPECT_EQ(GraphText(recording.model.graph), alone[library]) << library;
      loaded.push_back(std::move(recording));
    }
    while (!loaded.empty()) loaded.erase(loaded.begin());  // the first goes first
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc < 5 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: %s plugin.so directory plugin.so directory ...\n", argv[0]);
    return 2;
  }
  for (int i = 1; i < argc; i += 2) keel::g_models.emplace_back(argv[i], argv[i + 1]);
  return RUN_ALL_TESTS();
}
