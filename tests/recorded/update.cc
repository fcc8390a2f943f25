// Writes goldens anew. Arguments: pairs of a plugin's library and a directory with a config.json, or
// testdata of a family; graph.textproto goes there, in the source tree: into testdata/default, and
// wherever there is one already.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "tests/recorded/recording.h"

namespace {

std::set<std::string> DirectoriesOf(const std::string& dir) {
  const std::vector<std::string> recorded = keel::RecordedDirectories(dir);
  std::set<std::string> out(recorded.begin(), recorded.end());
  for (const std::string& one : {dir, keel::JoinPath(dir, "default")}) {
    if (std::filesystem::exists(keel::JoinPath(one, "config.json"))) out.insert(one);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace == nullptr || argc < 3 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: bazel run //tests/recorded:update\n");
    return 2;
  }
  int failures = 0;
  for (int i = 1; i < argc; i += 2) {
    for (const std::string& dir : DirectoriesOf(keel::JoinPath(workspace, argv[i + 1]))) {
      const auto recording = keel::RecordDirectory(argv[i], dir);
      if (!recording.ok()) {
        std::fprintf(stderr, "%s: %s\n", dir.c_str(), recording.status().ToString().c_str());
        ++failures;
        continue;
      }
      std::ofstream(keel::JoinPath(dir, "graph.textproto"))
          << keel::GraphText(recording->model.graph);
    }
  }
  return failures == 0 ? 0 : 1;
}
