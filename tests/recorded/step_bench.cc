// Times steps of a model, compiled and by the interpreter in turn, and says how much of a compiled step is the host's
// own: neither kernels nor ops through ATen.
//
//   bazel run //tests/recorded:step_bench -- PLUGIN.so DIRECTORY [SEQUENCES [CONTEXT [STEPS]]]
//
// The directory has config.json; without safetensors beside it, weights are random. A step decodes one token of each
// sequence.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/attention/registry.h"
#include "core/base/status.h"
#include "core/checkpoint/checkpoint.h"
#include "core/exec/executor.h"
#include "core/weights/random_checkpoint.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

constexpr int32_t kBlockSize = 16;

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// The first token of each of `sequences` that has `context` of them.
Batch Decode(int sequences, int context, size_t groups, int32_t state_slots) {
  Batch batch;
  const int32_t blocks = (context + kBlockSize) / kBlockSize;
  for (int32_t s = 0; s < sequences; ++s) {
    std::vector<int32_t> own;
    for (int32_t b = 0; b < blocks; ++b) own.push_back(s * blocks + b);
    batch.sequences.push_back(
        {context - 1, 1, state_slots > 0 ? s : -1, std::vector<std::vector<int32_t>>(groups, own)});
    batch.token_ids.push_back(1 + s % 50);
    batch.logit_rows.push_back(s);
  }
  return batch;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const proto::Graph& graph,
                                                           const std::string& dir) {
  if (std::filesystem::exists(dir + "/model.safetensors")) return Checkpoint::Open(dir);
  const std::filesystem::path scratch = std::filesystem::temp_directory_path() / "keel_step_bench";
  std::filesystem::create_directories(scratch);
  return WriteCheckpoint(scratch.string(), RandomTensors(graph, 1), DType::kBF16);
}

absl::Status Run(const std::string& plugin, const std::string& dir, int sequences, int context,
                 int steps) {
  KEEL_ASSIGN_OR_RETURN(const Recording recording, RecordDirectory(plugin, dir));
  KEEL_ASSIGN_OR_RETURN(const std::shared_ptr<const Checkpoint> checkpoint,
                        OpenCheckpoint(recording.model.graph, dir));
  const AttentionRegistry registry;
  std::vector<std::unique_ptr<Executor>> executors;
  for (const ExecMode mode : {ExecMode::kCompiled, ExecMode::kGraph}) {
    ExecutorOptions options;
    options.mode = mode;
    options.dtype = DType::kBF16;
    options.block_size = kBlockSize;
    options.measure_steps = true;
    KEEL_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                          Executor::Create(recording.model.graph, checkpoint, registry, options));
    const int32_t blocks = sequences * ((context + kBlockSize) / kBlockSize);
    const std::vector<int32_t> of_groups(executor->cache_layout().groups.size(), blocks);
    KEEL_RETURN_IF_ERROR(executor->AllocateCache(of_groups, sequences));
    executors.push_back(std::move(executor));
  }
  const CacheLayout layout = executors[0]->cache_layout();
  const Batch batch =
      Decode(sequences, context, layout.groups.size(), layout.state_bytes > 0 ? sequences : 0);
  std::vector<double> milliseconds[2], host, fallbacks;
  for (int i = 0; i < steps; ++i) {
    for (int mode = 0; mode < 2; ++mode) {
      const StepTimes before = executors[mode]->step_times();
      const auto begin = std::chrono::steady_clock::now();
      KEEL_RETURN_IF_ERROR(executors[mode]->Step(batch).status());
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - begin;
      milliseconds[mode].push_back(took.count());
      if (mode != 0) continue;
      const StepTimes after = executors[mode]->step_times();
      // With making the step's tensors, which is the host's too.
      const double kernels = static_cast<double>(after.kernels - before.kernels) * 1e-6;
      fallbacks.push_back(static_cast<double>(after.fallbacks - before.fallbacks) * 1e-6);
      host.push_back(took.count() - kernels - fallbacks.back());
    }
  }
  std::printf("%d sequences of %d tokens, %d steps, medians in ms\n", sequences, context, steps);
  std::printf("compiled %.3f: host %.3f, through ATen %.3f; interpreter %.3f; ratio %.2f\n",
              Median(milliseconds[0]), Median(host), Median(fallbacks), Median(milliseconds[1]),
              Median(milliseconds[1]) / Median(milliseconds[0]));
  return absl::OkStatus();
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s PLUGIN.so DIRECTORY [SEQUENCES [CONTEXT [STEPS]]]\n", argv[0]);
    return 2;
  }
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const absl::Status status =
      keel::Run(argv[1], argv[2], number(3, 64), number(4, 128), number(5, 30));
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
