// What the host records and does not run yet is refused by name before any weight is read. Argument: a directory with
// config.json and graph.textproto of Qwen2.5-VL.
#include <cstdio>
#include <filesystem>

#include "core/attention/registry.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

std::string g_dir;  // of the command line

class RefusedTest : public ::testing::Test {
 protected:
  // A checkpoint with the model's JSON files and weights that nobody may come to read.
  void WriteCheckpoint() {
    for (const auto& entry : std::filesystem::directory_iterator(g_dir)) {
      const std::string name = entry.path().filename();
      if (entry.path().extension() != ".json") continue;
      KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(entry.path()));
      dir_.Write(name, text);
    }
    dir_.Write("model.safetensors", testing::SafetensorsBytes({{"unread", DType::kF32, {1}}}));
  }

  proto::Graph Golden() {
    const std::string path = JoinPath(g_dir, "graph.textproto");
    const absl::StatusOr<std::string> text = ReadFile(path);
    EXPECT_TRUE(text.ok()) << text.status();
    absl::StatusOr<proto::Graph> graph = ParseGraphText(text.value_or(""), path);
    EXPECT_TRUE(graph.ok()) << graph.status();
    return graph.value_or(proto::Graph());
  }

  absl::Status Execute(const proto::Graph& graph) {
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(dir_.path());
    if (!checkpoint.ok()) return checkpoint.status();
    return Executor::Create(graph, *std::move(checkpoint), AttentionRegistry(), {}).status();
  }

  testing::ScratchDir dir_;
};

auto Unimplemented(const std::string& what) {
  return StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(what));
}

TEST_F(RefusedTest, InputsOfForwardThatItDoesNotKnow) {
  WriteCheckpoint();
  proto::Graph graph = Golden();
  proto::Function::Input& positions = *graph.mutable_functions(0)->mutable_inputs(1);
  ASSERT_EQ(positions.name(), "positions");
  positions.set_name("media_item");
  EXPECT_THAT(Execute(graph), Unimplemented("forward with an input 'media_item' is unimplemented"));
}

TEST_F(RefusedTest, PositionsWithoutANumberOfAxes) {
  WriteCheckpoint();
  proto::Graph graph = Golden();
  proto::Dim& axes =
      *graph.mutable_functions(0)->mutable_inputs(1)->mutable_type()->mutable_dims(0);
  axes.set_size(1);
  axes.set_symbol("N");
  EXPECT_THAT(Execute(graph), Unimplemented("forward with positions I64[N, N] is unimplemented"));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s directory\n", argv[0]);
    return 2;
  }
  keel::g_dir = argv[1];
  return RUN_ALL_TESTS();
}
