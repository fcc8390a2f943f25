// Arguments: a family's shared library, and the directory of its checkpoints. For each checkpoint,
// each way of running and each attention implementation: logits of every prompt position within
// 1e-4 of the largest, and 32 greedy tokens exactly, whole and in chunks, alone and in a batch of
// unequal lengths. With several ranks and stages, as the family's plans divide it: in chunks and in a
// batch alone, which holds the rest. Of a model that gives vectors: those of every token, alone and in a
// batch, whole.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/exec/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/parity/config_defaults.h"
#include "tests/parity/model_under_test.h"
#include "tests/parity/streams.h"

namespace keel {
namespace {

struct Way {
  const char* name;
  ExecutorOptions options;
};

const Way kWays[] = {
    {"recorded, eager attention", {.attention = "eager"}},
    {"recorded, sdpa", {.attention = "sdpa"}},
    {"recorded, paged", {.attention = "paged"}},
    {"eager, eager attention", {.mode = ExecMode::kEager, .attention = "eager"}},
    {"eager, sdpa", {.mode = ExecMode::kEager, .attention = "sdpa"}},
    {"eager, paged", {.mode = ExecMode::kEager, .attention = "paged"}},
    {"shadow, paged", {.mode = ExecMode::kShadow, .attention = "paged"}},
};

const Way kDivided[] = {
    {"2 ranks", {.tensor_parallel = 2}},
    {"3 ranks", {.tensor_parallel = 3}},
    {"4 ranks", {.tensor_parallel = 4}},
    {"2 stages", {.pipeline_parallel = 2}},
    {"2 stages of 2 ranks", {.tensor_parallel = 2, .pipeline_parallel = 2}},
    {"2 ranks, experts apart", {.tensor_parallel = 2, .expert_parallel = true}},
};

// Whether the model states the plan for it.
bool HasPlan(const ExecutorOptions& options, const proto::ModelSpec& spec) {
  if (options.pipeline_parallel > 1 && spec.pp_plan().empty()) return false;
  return !options.expert_parallel || !spec.ep_plan().empty();
}

class ParityTest : public ::testing::Test {
 public:
  ParityTest(std::string plugin, std::string dir, double tolerance)
      : plugin_(std::move(plugin)), dir_(std::move(dir)), tolerance_(tolerance) {}

  void TestBody() override {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto model, ModelUnderTest::Open(plugin_, dir_));
    std::vector<const Golden*> together;
    for (const Golden& golden : model->goldens()) together.push_back(&golden);
    for (const Way& way : kWays) {
      SCOPED_TRACE(absl::StrCat(dir_, ", ", way.name));
      const auto made = model->NewExecutor(way.options, kBlocks, kStateSlots);
      if (way.options.attention == "sdpa" && absl::IsUnimplemented(made.status()))
        continue;  // sinks
      KEEL_ASSERT_OK(made.status());
      const auto& executor = *made;
      if (model->gives_vectors()) {
        for (const Golden* golden : together) ExpectVectors(*executor, {golden}, "alone");
        ExpectVectors(*executor, together, "together");
        if (HasFatalFailure()) return;
        continue;
      }
      for (const Golden* golden : together) ExpectGolden(*executor, {golden}, 512, "alone, whole");
      ExpectGolden(*executor, {together.back()}, 37, "alone, in chunks");
      ExpectGolden(*executor, together, 512, "together, whole");
      ExpectGolden(*executor, together, 37, "together, in chunks");
      if (HasFatalFailure()) return;
    }
    int divided = 0;
    for (const Way& way : kDivided) {
      if (!HasPlan(way.options, model->graph().spec())) continue;
      SCOPED_TRACE(absl::StrCat(dir_, ", ", way.name));
      const auto executor = model->NewExecutor(way.options, kBlocks, kStateSlots);
      // Tiny sizes: that these are refused by name is tested beside the code.
      if (absl::StrContains(executor.status().message(), "ranks don't divide")) continue;
      KEEL_ASSERT_OK(executor.status());
      if (model->gives_vectors()) {
        ExpectVectors(**executor, together, "together");
      } else {
        ExpectGolden(**executor, together, 37, "together, in chunks");
      }
      if (HasFatalFailure()) return;
      ++divided;
    }
    // A model without stages is divided by ranks alone, and by those that its tiny sizes allow.
    EXPECT_GE(divided, model->graph().spec().pp_plan().empty() ? 1 : 2)
        << "of 2, 3 and 4 ranks, and of stages";
  }

 private:
  // Of an encoder, which takes a text whole: each token's vector.
  static void ExpectVectors(Executor& executor, const std::vector<const Golden*>& goldens,
                            const std::string& what) {
    Batch batch;
    for (const Golden* golden : goldens) {
      const auto first = static_cast<int32_t>(batch.token_ids.size());
      const auto size = static_cast<int32_t>(golden->prompt.size());
      batch.token_ids.insert(batch.token_ids.end(), golden->prompt.begin(), golden->prompt.end());
      batch.token_types.insert(batch.token_types.end(), golden->types.begin(), golden->types.end());
      batch.sequences.push_back({0, size});
      for (int32_t i = 0; i < size; ++i) batch.pooled.push_back({first + i, 1});
    }
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor vectors, executor.Step(batch));
    int64_t row = 0;
    for (const Golden* golden : goldens) {
      const auto size = static_cast<int64_t>(golden->prompt.size());
      const at::Tensor own = vectors.narrow(0, row, size);
      row += size;
      ASSERT_EQ(own.sizes(), golden->vectors.sizes()) << what;
      EXPECT_LE(at::abs(own - golden->vectors).max().item<double>(),
                kLogitTolerance * at::abs(golden->vectors).max().item<double>())
          << what << ", prompt of " << size;
    }
  }

  void ExpectGolden(Executor& executor, const std::vector<const Golden*>& goldens, int32_t chunk,
                    const std::string& what) const {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<Stream> streams,
                              RunStreams(executor, goldens, chunk));
    for (const Stream& stream : streams) {
      SCOPED_TRACE(absl::StrCat(what, ", prompt of ", stream.prompt_size()));
      KEEL_ASSERT_OK_AND_ASSIGN(const Deviation deviation, DeviationOf(stream));
      EXPECT_LE(deviation.logits, tolerance_);
      const std::vector<int32_t> tokens(stream.ids.begin() + stream.prompt_size(),
                                        stream.ids.end());
      EXPECT_EQ(tokens, stream.golden->greedy);
    }
  }

  const std::string plugin_, dir_;
  const double tolerance_;
};

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s plugin.so testdata-dir [logit-tolerance]\n", argv[0]);
    return 2;
  }
  const std::string plugin = argv[1];
  const double tolerance = argc == 4 ? std::strtod(argv[3], nullptr) : keel::kLogitTolerance;
  int checkpoints = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
    const auto has = [&](const char* name) { return std::filesystem::exists(entry.path() / name); };
    if (!entry.is_directory()) continue;
    if (has("graph.textproto") && !has("model.safetensors")) continue;  // recorded only
    ++checkpoints;
    const std::string dir = entry.path().string();
    ::testing::RegisterTest(
        "ParityTest", entry.path().filename().c_str(), nullptr, nullptr, __FILE__, __LINE__,
        [=]() -> ::testing::Test* { return new keel::ParityTest(plugin, dir, tolerance); });
  }
  if (std::filesystem::exists(std::string(argv[2]) + "/config_defaults.json"))
    keel::RegisterConfigDefaultsTest(plugin, argv[2]);
  if (checkpoints == 0) {
    std::fprintf(stderr, "no checkpoints in %s\n", argv[2]);
    return 1;
  }
  return RUN_ALL_TESTS();
}
