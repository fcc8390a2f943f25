#include "apps/common/foreign_flags.h"

namespace keel::apps {
namespace {

struct Hint {
  std::string_view flag, hint;
};

// Of vLLM, SGLang, TGI and llama.cpp.
constexpr Hint kHints[] = {
    {"--alias", "--served-model-name does that"},
    {"--attention-backend", "--attention-implementation does that"},
    {"--chunked-prefill-size", "--max-num-batched-tokens does that"},
    {"--context-length", "--max-model-len does that"},
    {"--cpu-offload-gb", "all runs on the CPU"},
    {"--ctx-size", "--max-model-len does that"},
    {"--device", "all runs on the CPU"},
    {"--disable-log-requests", "--no-access-log does that"},
    {"--disable-radix-cache", "--no-enable-prefix-caching does that"},
    {"--enable-chunked-prefill", "long prompts are always cut, by --max-num-batched-tokens"},
    {"--enforce-eager", "--exec=eager runs op by op, for debugging"},
    {"--ep-size", "--enable-expert-parallel divides experts among --tensor-parallel-size ranks"},
    {"--gpu-memory-utilization", "--kv-cache-memory-share or --kv-cache-memory-bytes do that"},
    {"--hostname", "--host does that"},
    {"--max-batch-prefill-tokens", "--max-num-batched-tokens does that"},
    {"--max-concurrent-requests", "--max-num-seqs and --max-queued-requests do that"},
    {"--max-input-length", "--max-model-len bounds a prompt and its answer together"},
    {"--max-input-tokens", "--max-model-len bounds a prompt and its answer together"},
    {"--max-running-requests", "--max-num-seqs does that"},
    {"--max-total-tokens", "--max-model-len does that"},
    {"--mem-fraction-static", "--kv-cache-memory-share or --kv-cache-memory-bytes do that"},
    {"--model-id", "--model does that"},
    {"--model-path", "--model does that"},
    {"--n-gpu-layers", "all runs on the CPU"},
    {"--num-shard", "--tensor-parallel-size does that"},
    {"--parallel", "--max-num-seqs does that"},
    {"--pp-size", "--pipeline-parallel-size does that"},
    {"--quantization", "--quantize does that to any checkpoint; quantized ones are not served yet"},
    {"--speculative-config", "--spec-method and --spec-tokens do that"},
    {"--swap-space", "what does not fit is computed anew; there is no swap"},
    {"--tokenizer", "the tokenizer is the checkpoint's"},
    {"--tp", "--tensor-parallel-size does that"},
    {"--tp-size", "--tensor-parallel-size does that"},
    {"-c", "--max-model-len does that"},
    {"-m", "--model does that"},
    {"-ngl", "all runs on the CPU"},
    {"-np", "--max-num-seqs does that"},
    {"-pp", "--pipeline-parallel-size does that"},
    {"-t", "--threads does that"},
    {"-tp", "--tensor-parallel-size does that"},
};

}  // namespace

std::string_view HintForForeignFlag(std::string_view flag) {
  for (const Hint& hint : kHints) {
    if (hint.flag == flag) return hint.hint;
  }
  return {};
}

}  // namespace keel::apps
