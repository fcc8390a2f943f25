// Arguments: libcalls_not.so and libcalls_counts_its_calls.so. --exec=shadow runs a kernel without
// states twice and finds one that keeps something between calls; one over states it runs once.
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>

#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

std::string g_good, g_counting;

// A step of 29 tokens of a model with random weights.
absl::Status RunShadow(const std::string& library) {
  const boost::json::value config = {
      {"architectures", {"CallsForCausalLM"}}, {"hidden_size", 16}, {"vocab_size", 32}};
  absl::StatusOr<Recording> recording = RecordPlugin(library, config);
  if (!recording.ok()) return recording.status();
  const testing::ScratchDir dir;
  auto checkpoint =
      testing::WriteCheckpoint(dir.path(), testing::RandomTensors(recording->model.graph, 7));
  if (!checkpoint.ok()) return checkpoint.status();
  ExecutorOptions options;
  options.mode = ExecMode::kShadow;
  options.kernels = recording->kernels;
  options.live = {recording->model.model_class, recording->model.model.get()};
  auto executor = Executor::Create(recording->model.graph, *std::move(checkpoint),
                                   AttentionRegistry(), options);
  if (!executor.ok()) return executor.status();
  const size_t groups = (*executor)->cache_layout().groups.size();
  if (absl::Status status = (*executor)->AllocateCache(std::vector<int32_t>(groups, 8), 1);
      !status.ok())
    return status;
  constexpr int32_t kTokens = 29;
  Batch batch{std::vector<int32_t>(kTokens, 3), {{0, kTokens, 0, {}}}, {kTokens - 1}};
  batch.sequences[0].blocks.resize(groups, {6, 2, 1, 4, 5, 3, 7, 0});
  return (*executor)->Step(batch).status();
}

TEST(ShadowKernelTest, AKernelThatGivesTheSameAgainPasses) { KEEL_EXPECT_OK(RunShadow(g_good)); }

TEST(ShadowKernelTest, AKernelThatKeepsSomethingBetweenCallsIsFound) {
  EXPECT_THAT(RunShadow(g_counting),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the values differ by")));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s plugin.so plugin.so\n", argv[0]);
    return 2;
  }
  keel::g_good = argv[1];
  keel::g_counting = argv[2];
  return RUN_ALL_TESTS();
}
