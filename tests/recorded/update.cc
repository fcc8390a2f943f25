// Writes goldens anew. Arguments: pairs of a plugin's library and a directory with a config.json;
// graph.textproto goes there, in the source tree.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "core/base/file.h"
#include "tests/recorded/recording.h"

int main(int argc, char** argv) {
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace == nullptr || argc < 3 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: bazel run //tests/recorded:update\n");
    return 2;
  }
  int failures = 0;
  for (int i = 1; i < argc; i += 2) {
    const std::string dir = keel::JoinPath(workspace, argv[i + 1]);
    const auto recording = keel::RecordDirectory(argv[i], dir);
    if (!recording.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[i + 1], recording.status().ToString().c_str());
      ++failures;
      continue;
    }
    std::ofstream(keel::JoinPath(dir, "graph.textproto"))
        << keel::GraphText(recording->model.graph);
  }
  return failures == 0 ? 0 : 1;
}
