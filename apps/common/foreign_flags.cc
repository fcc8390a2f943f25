#include "apps/common/foreign_flags.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <span>

namespace keel::apps {
namespace {

struct Alias {
  std::string_view flag, names;
};

// The same under another name. SGLang's --max-total-tokens is another thing than TGI's: here it is
// TGI's.
constexpr Alias kAliases[] = {
    {"block-size", "--page-size"},
    {"deterministic", "--enable-deterministic-inference"},
    {"enable-prefix-caching", "!--disable-radix-cache"},
    {"kv-cache-memory-bytes", "--kv-cache-memory"},
    {"max-model-len", "--context-length,--max-total-tokens"},
    {"max-num-batched-tokens", "--chunked-prefill-size"},
    {"max-num-seqs", "--max-running-requests,--max-batch-size"},
    {"max-queued-requests", "--max-num-queued-reqs"},
    {"model", "--model-id,--model-path"},
    {"model-impl", "--impl"},
    {"pipeline-parallel-size", "--pp-size,--pp"},
    {"tensor-parallel-size", "--tp-size,--tp,--num-shard"},
};

struct Rewrite {
  std::string_view flag, value;  // value "": a switch
  std::string_view here;         // "": nothing is to be done
};

// Values that only others have of flags that are Keel's, too.
constexpr Rewrite kValues[] = {
    {"--impl", "sglang", "--model-impl=native"},
    {"--impl", "vllm", "--model-impl=native"},
    {"--model-impl", "sglang", "--model-impl=native"},
    {"--model-impl", "vllm", "--model-impl=native"},
};

constexpr Rewrite kRewrites[] = {
    {"--allowed-headers", "[\"*\"]", ""},
    {"--allowed-methods", "[\"*\"]", ""},
    {"--config-format", "auto", ""},
    {"--config-format", "hf", ""},
    {"--data-parallel-size", "1", ""},
    {"--device", "auto", ""},
    {"--device", "cpu", ""},
    {"--dp", "1", ""},
    {"--dp-size", "1", ""},
    {"--enable-auto-tool-choice", "", ""},
    {"--enable-chunked-prefill", "", ""},
    {"--enable-metrics", "", ""},
    {"--enable-request-id-headers", "", ""},
    {"--generation-config", "auto", ""},
    {"--is-embedding", "", "--runner=pooling"},
    {"--json-output", "", "--log-format=json"},
    {"--load-format", "auto", ""},
    {"--load-format", "safetensors", ""},
    {"--nnodes", "1", ""},
    {"--sharded", "false", ""},
    {"--speculative-algorithm", "NGRAM", "--spec-method=ngram"},
    {"--task", "auto", ""},
    {"--task", "classify", "--convert=classify"},
    {"--task", "embed", "--runner=pooling"},
    {"--task", "embedding", "--runner=pooling"},
    {"--task", "generate", "--runner=generate"},
    {"--tokenizer-mode", "auto", ""},
};

// vLLM's names of two letters after one dash, which are aliases or hints after two.
constexpr std::string_view kShortNames[] = {"-dp", "-pp", "-tp"};

struct Hint {
  std::string_view flag, hint;
};

constexpr std::string_view kCpu = "all runs on the CPU";
constexpr std::string_view kCheckpoint = "it is the checkpoint's";
constexpr std::string_view kNotServed = "that is not served";
constexpr std::string_view kScale =
    "a server is one process on one machine; run several behind a balancer";

constexpr Hint kHints[] = {
    {"--admin-api-key", "--api-key guards all that changes something"},
    {"--alias", "--served-model-name does that"},
    {"--allow-auto-truncate", "a prompt that is too long is refused, never cut"},
    {"--allow-credentials", "there are no cookies; web pages send the key in a header"},
    {"--allowed-headers", "web pages of an --allowed-origin may send any"},
    {"--allowed-methods", "web pages of an --allowed-origin may use any"},
    {"--api-server-count", kScale},
    {"--attention-backend", "--attention-implementation does that"},
    {"--cache-type-k", "--kv-cache-dtype does that, for keys and values alike"},
    {"--cache-type-v", "--kv-cache-dtype does that, for keys and values alike"},
    {"--code-revision", "a model is a directory, or an id in the on-disk cache as it is there"},
    {"--compilation-config", "--exec and --disable-pass say how a step runs"},
    {"--completion-template", kNotServed},
    {"--cpu-offload-gb", kCpu},
    {"--ctx-size", "--max-model-len does that"},
    {"--cuda-graphs", kCpu},
    {"--cuda-memory-fraction", kCpu},
    {"--data-parallel-size", kScale},
    {"--default-chat-template-kwargs", "requests say them, as chat_template_kwargs"},
    {"--device", kCpu},
    {"--disable-cuda-graph", kCpu},
    {"--disable-custom-all-reduce", kCpu},
    {"--disable-custom-kernels", "--exec=eager runs op by op, for debugging"},
    {"--disable-grammar-support", "a request that asks for no grammar has none"},
    {"--disable-log-requests", "--no-access-log does that"},
    {"--disable-log-stats", "/metrics is made when it is asked for"},
    {"--disable-uvicorn-access-log", "--no-access-log does that"},
    {"--dist-init-addr", kScale},
    {"--distributed-executor-backend", kScale},
    {"--download-dir", "nothing is downloaded; HF_HOME says where checkpoints are"},
    {"--dp", kScale},
    {"--dp-size", kScale},
    {"--enable-chunked-prefill", "long prompts are always cut, by --max-num-batched-tokens"},
    {"--enable-lora", "LoRA is not served yet"},
    {"--enable-torch-compile", "--exec=compiled is the default"},
    {"--enforce-eager", "--exec=eager runs op by op, for debugging"},
    {"--ep-size", "--enable-expert-parallel divides experts among --tensor-parallel-size ranks"},
    {"--generation-config", "generation_config.json of the checkpoint says the defaults"},
    {"--gpu-memory-utilization", "--kv-cache-memory-share or --kv-cache-memory-bytes do that"},
    {"--grammar-backend", "there is one, llguidance"},
    {"--h11-max-incomplete-event-size", "--max-header-bytes bounds a request's head"},
    {"--headless", kScale},
    {"--hf-overrides", "config.json is read as it is; change a copy"},
    {"--hf-token", "nothing is downloaded"},
    {"--huggingface-hub-cache", "HF_HUB_CACHE does that"},
    {"--json-model-override-args", "config.json is read as it is; change a copy"},
    {"--load-format", "checkpoints are safetensors"},
    {"--log-requests", "--access-log writes a line for each request, never a prompt"},
    {"--lora-adapters", "LoRA is not served yet"},
    {"--lora-modules", "LoRA is not served yet"},
    {"--lora-paths", "LoRA is not served yet"},
    {"--max-batch-prefill-tokens", "--max-num-batched-tokens does that"},
    {"--max-batch-total-tokens", "--kv-cache-memory-bytes bounds what all sequences may hold"},
    {"--max-best-of", "--max-num-seqs and --max-queued-requests bound it"},
    {"--max-client-batch-size", "--max-num-seqs and --max-queued-requests bound it"},
    {"--max-concurrent-requests", "--max-num-seqs and --max-queued-requests do that"},
    {"--max-input-length", "--max-model-len bounds a prompt and its answer together"},
    {"--max-input-tokens", "--max-model-len bounds a prompt and its answer together"},
    {"--max-log-len", "prompts are never logged"},
    {"--max-prefill-tokens", "--max-num-batched-tokens does that"},
    {"--mem-fraction-static", "--kv-cache-memory-share or --kv-cache-memory-bytes do that"},
    {"--middleware", "the server is no Python program; put a proxy before it"},
    {"--n-gpu-layers", kCpu},
    {"--nnodes", kScale},
    {"--node-rank", kScale},
    {"--otlp-endpoint", "with --log-format json, lines of calls have the traceparent's trace_id"},
    {"--otlp-traces-endpoint",
     "with --log-format json, lines of calls have the traceparent's trace_id"},
    {"--parallel", "--max-num-seqs does that"},
    {"--quantization", "--quantize does that to any checkpoint; quantized ones are not served yet"},
    {"--random-seed", "a request's seed makes its draws the same again"},
    {"--response-role", "answers have the role assistant"},
    {"--revision", "a model is a directory, or an id in the on-disk cache as it is there"},
    {"--root-path", "a proxy that adds a prefix to paths should take it off again"},
    {"--rope-scaling", "config.json says it"},
    {"--sampling-backend", "there is one"},
    {"--schedule-conservativeness", kNotServed},
    {"--schedule-policy", "requests go in order of their priority, then of arrival"},
    {"--scheduling-policy", "requests go in order of their priority, then of arrival"},
    {"--seed", "a request's seed makes its draws the same again"},
    {"--sharded", "--tensor-parallel-size says how many share a layer"},
    {"--skip-tokenizer-init", kNotServed},
    {"--speculate", "--spec-method and --spec-tokens do that"},
    {"--speculative-algorithm", "--spec-method and --spec-tokens do that"},
    {"--speculative-config", "--spec-method and --spec-tokens do that"},
    {"--ssl-ca-certs", "certificates of clients are not asked for; --api-key tells clients apart"},
    {"--ssl-keyfile-password", "the key's file has no password; file permissions guard it"},
    {"--stream-interval", "each token is sent when it is made"},
    {"--swap-space", "what does not fit is computed anew; there is no swap"},
    {"--task", "--runner and --convert say what a model does"},
    {"--tokenizer", kCheckpoint},
    {"--tokenizer-config-path", kCheckpoint},
    {"--tokenizer-mode", kCheckpoint},
    {"--tokenizer-path", kCheckpoint},
    {"--tokenizer-revision", kCheckpoint},
    {"--usage-stats", "nothing is sent to anybody"},
    {"--uvicorn-log-level", "--no-access-log leaves the lines of requests out"},
    {"--validation-workers", "it is done on the server's own threads"},
    {"--waiting-served-ratio", "--max-decode-slowdown says what prompts may do to decodes"},
    {"--watchdog-timeout", "/live says whether the engine goes on"},
    {"--weights-cache-override", "HF_HUB_CACHE does that"},
    {"-O", "--exec=compiled is the default"},
    {"-c", "--max-model-len does that"},
    {"-ctk", "--kv-cache-dtype does that, for keys and values alike"},
    {"-ctv", "--kv-cache-dtype does that, for keys and values alike"},
    {"-m", "--model does that"},
    {"-ngl", kCpu},
    {"-np", "--max-num-seqs does that"},
    {"-q", "--quantize does that to any checkpoint; quantized ones are not served yet"},
    {"-t", "--threads does that"},
};

// "--flag" or "--flag=value".
struct Argument {
  explicit Argument(const std::string& text)
      : flag(text.substr(0, text.find('='))),
        has_value(flag.size() < text.size()),
        value(has_value ? text.substr(flag.size() + 1) : "") {}

  std::string flag;
  bool has_value;
  std::string value;
};

struct Translation {
  std::string_view text;  // "": nothing
  bool takes_next;        // the next argument is its value
};

// What `table` has for an argument, whose value may be the next one.
std::optional<Translation> Find(std::span<const Rewrite> table, const Argument& argument,
                                const std::string* next) {
  for (const Rewrite& rewrite : table) {
    if (rewrite.flag != argument.flag) continue;
    if (rewrite.value.empty()) {
      if (argument.value == "false") return Translation{"", false};
      if (!argument.has_value || argument.value == "true") return Translation{rewrite.here, false};
    } else if (argument.has_value ? argument.value == rewrite.value
                                  : next != nullptr && *next == rewrite.value) {
      return Translation{rewrite.here, !argument.has_value};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view AliasesOf(std::string_view flag) {
  for (const Alias& alias : kAliases) {
    if (alias.flag == flag) return alias.names;
  }
  return {};
}

std::vector<std::string> TranslateForeignFlags(
    const std::vector<std::string>& arguments,
    const std::function<bool(const std::string& flag)>& is_known) {
  std::vector<std::string> translated;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument argument(arguments[i]);
    const std::string* next =
        argument.has_value || i + 1 == arguments.size() ? nullptr : &arguments[i + 1];
    const auto here =
        is_known(argument.flag) ? Find(kValues, argument, next) : Find(kRewrites, argument, next);
    if (!here.has_value()) {
      const bool is_short =
          std::any_of(std::begin(kShortNames), std::end(kShortNames),
                      [&](std::string_view name) { return name == argument.flag; });
      translated.push_back((is_short ? "-" : "") + arguments[i]);
      continue;
    }
    if (!here->text.empty()) translated.emplace_back(here->text);
    if (here->takes_next) ++i;
  }
  return translated;
}

std::string_view HintForForeignFlag(std::string_view flag) {
  for (const Hint& hint : kHints) {
    if (hint.flag == flag) return hint.hint;
  }
  return {};
}

}  // namespace keel::apps
