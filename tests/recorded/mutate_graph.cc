// mutate_graph GRAPH DIRECTORY COUNT SEED: writes COUNT changed copies of a graph file, DIRECTORY/0.pb,
// 1.pb ...: three of four well-formed messages that say something else, the fourth with damaged bytes.
// The same seed gives the same files.
#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/checkpoint/testing.h"
#include "core/graph/graph_file.h"
#include "tests/recorded/graph_mutation.h"

int main(int argc, char** argv) {
  int count = 0;
  uint32_t seed = 0;
  if (argc != 5 || !absl::SimpleAtoi(argv[3], &count) || !absl::SimpleAtoi(argv[4], &seed)) {
    std::fprintf(stderr, "usage: %s GRAPH DIRECTORY COUNT SEED\n", argv[0]);
    return 2;
  }
  const absl::StatusOr<std::string> bytes = keel::ReadFile(argv[1]);
  const absl::StatusOr<keel::proto::Graph> graph =
      bytes.ok() ? keel::ParseGraphFile(*bytes) : bytes.status();
  if (!graph.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[1], graph.status().ToString().c_str());
    return 1;
  }
  std::mt19937 random(seed);
  for (int i = 0; i < count; ++i) {
    std::string file = *bytes;
    if (i % 4 == 3) {
      file = keel::testing::Mutate(file, random);
    } else {
      keel::proto::Graph changed = *graph;
      for (uint32_t n = 1 + random() % 2; n > 0; --n) keel::ChangeField(&changed, random);
      file = keel::SerializeGraphFile(changed);
    }
    std::ofstream(absl::StrCat(argv[2], "/", i, ".pb"), std::ios::binary) << file;
  }
  return 0;
}
