// How far a quantized model's logits are from those of a reference, over random token ids.
//
//   bazel run //tests/quantization:logit_error -- --model=DIR [--as=DIR2] [--quantize=int8,int4] [--tokens=512]
//       [--kv-cache-dtype=auto,fp8,int8]
//
// Other flags are the engine's (--plugin-path=FILE).
// The reference is DIR in float32. Compared to it are DIR, or the checkpoint DIR2 of the same model with other values
// (fake_quantize.py makes llama.cpp's), with each of the quantizations and each type of the KV cache; `none` beside them
// is bfloat16 itself. Prints for each the mean absolute difference of logits, the same as a share of the logits' standard
// deviation, the mean KL divergence in nats, and how often the likeliest token is the same; on stderr, how long loading
// took and how much memory it left resident.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log_softmax.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/model/model.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using Flags = std::map<std::string, std::string>;

Flags TakeFlags(int argc, char** argv) {
  Flags flags = {{"as", ""},
                 {"quantize", "none,int8,int8-g128,w8a8,int4,int4-g64,int4-g128"},
                 {"dtype", "bfloat16"},
                 {"kv-cache-dtype", "auto"},
                 {"ids", ""},
                 {"tokens", "512"}};
  for (int i = 1; i < argc; ++i) {
    const std::pair<std::string, std::string> flag =
        absl::StrSplit(argv[i], absl::MaxSplits('=', 1));
    flags[std::string(absl::StripPrefix(flag.first, "--"))] = flag.second;
  }
  return flags;
}

std::string Take(Flags& flags, const std::string& name) {
  std::string value = flags[name];
  flags.erase(name);
  return value;
}

double InMiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Logits of each token of `ids`, [N, vocab] f32.
absl::StatusOr<at::Tensor> LogitsOf(Flags flags, const std::string& dtype,
                                    const std::string& quantization, const std::string& kv_dtype,
                                    const std::vector<int32_t>& ids) {
  EngineOptions options;
  flags["dtype"] = dtype;
  flags["quantize"] = quantization;
  flags["kv-cache-dtype"] = kv_dtype;
  flags.emplace("weight-cache", "off");
  for (const auto& [name, value] : flags) KEEL_RETURN_IF_ERROR(SetEngineFlag(options, name, value));
  options.cache.memory_bytes = int64_t{1} << 30;
  options.scheduler.max_num_seqs = 1;
  const absl::Time start = absl::Now();
  KEEL_ASSIGN_OR_RETURN(const Model model, LoadModel(options));
  std::fprintf(stderr, "%s: loaded in %.0f ms, %.0f MiB packed%s, ", quantization.c_str(),
               absl::ToDoubleMilliseconds(absl::Now() - start), InMiB(model.packed_bytes),
               model.packed_from_cache ? " before" : "");
  std::vector<std::vector<int32_t>> blocks;
  for (const CacheGroup& group : model.blocks.groups) {
    blocks.emplace_back(std::min<size_t>(group.num_blocks, ids.size() / 16 + 1));
    std::iota(blocks.back().begin(), blocks.back().end(), 0);
  }
  Batch batch;
  batch.token_ids = ids;
  const bool has_states = model.blocks.num_state_slots > 0;
  batch.sequences.push_back({0, static_cast<int32_t>(ids.size()), has_states ? 0 : -1, blocks});
  batch.logit_rows.resize(ids.size());
  std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
  KEEL_ASSIGN_OR_RETURN(const at::Tensor logits, model.executor->Step(batch));
  std::fprintf(stderr, "%.0f MiB resident after a step\n", InMiB(ResidentBytes()));
  return CatchAten([&] { return logits.clone(); });
}

absl::Status Compare(Flags flags) {
  const std::string other = Take(flags, "as"), quantizations = Take(flags, "quantize"),
                    kv_dtypes = Take(flags, "kv-cache-dtype"), dtype = Take(flags, "dtype"),
                    given = Take(flags, "ids"), tokens = Take(flags, "tokens");
  std::vector<int32_t> ids;
  for (const auto id : absl::StrSplit(given, ',', absl::SkipEmpty()))
    ids.push_back(std::stoi(std::string(id)));
  if (ids.empty()) {
    std::mt19937 random(1);
    EngineOptions options;
    for (const auto& [name, value] : flags)
      KEEL_RETURN_IF_ERROR(SetEngineFlag(options, name, value));
    KEEL_ASSIGN_OR_RETURN(const proto::Graph graph, RecordGraphOf(options.model));
    for (int i = std::stoi(tokens); i > 0; --i)
      ids.push_back(static_cast<int32_t>(random() % graph.spec().vocab_size()));
  }
  KEEL_ASSIGN_OR_RETURN(const at::Tensor reference,
                        LogitsOf(flags, "float32", "none", "auto", ids));
  const at::Tensor expected = at::log_softmax(reference, -1);
  const double deviation = reference.std().item<double>();
  std::printf("%zu tokens; the logits' standard deviation is %.4f\n", ids.size(), deviation);
  std::printf("%-16s %12s %10s %10s %10s\n", "", "mean |diff|", "of std", "KL", "top-1");
  if (!other.empty()) flags["model"] = other;
  for (const auto name : absl::StrSplit(quantizations, ',')) {
    for (const auto kept : absl::StrSplit(kv_dtypes, ',')) {
      const std::string quantization(name), kv_dtype(kept);
      KEEL_ASSIGN_OR_RETURN(const at::Tensor logits,
                            LogitsOf(flags, dtype, quantization, kv_dtype, ids));
      const double error = at::abs(logits - reference).mean().item<double>();
      const at::Tensor got = at::log_softmax(logits, -1);
      const double kl = (at::exp(expected) * (expected - got)).sum(-1).mean().item<double>();
      const double same = at::argmax(logits, -1)
                              .eq(at::argmax(reference, -1))
                              .to(at::kDouble)
                              .mean()
                              .item<double>();
      const std::string what = kept == "auto" ? quantization : quantization + ", KV " + kv_dtype;
      std::printf("%-16s %12.5f %9.3f%% %10.6f %9.2f%%\n", what.c_str(), error,
                  100 * error / deviation, kl, 100 * same);
      std::fflush(stdout);
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  const absl::Status status =
      keel::CatchAten([&] { return keel::Compare(keel::TakeFlags(argc, argv)); });
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
