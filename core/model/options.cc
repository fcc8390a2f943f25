#include "core/model/options.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <type_traits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/nearest.h"
#include "core/kernels/thread_pool.h"

namespace keel {
namespace {

constexpr int64_t kMaxCount = 1 << 24;

absl::Status Expected(absl::string_view value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("'", value, "', expected ", expected));
}

// The option at the end of a path of members.
template <auto... kPath>
auto& At(EngineOptions& options) {
  return (options.*....*kPath);
}

template <int64_t kLow, int64_t kHigh, auto... kPath>
absl::Status SetInt(EngineOptions& options, absl::string_view value) {
  int64_t parsed = 0;
  if (!absl::SimpleAtoi(value, &parsed) || parsed < kLow || parsed > kHigh)
    return Expected(value, absl::StrCat("a whole number from ", kLow, " to ", kHigh));
  auto& option = At<kPath...>(options);
  option = static_cast<std::remove_reference_t<decltype(option)>>(parsed);
  return absl::OkStatus();
}

template <auto... kPath>
absl::Status SetText(EngineOptions& options, absl::string_view value) {
  if (value.empty()) return Expected(value, "a text that is not empty");
  At<kPath...>(options) = std::string(value);
  return absl::OkStatus();
}

template <auto... kPath>
absl::Status SetSwitch(EngineOptions& options, absl::string_view value) {
  const std::string lower = absl::AsciiStrToLower(value);
  if (lower != "true" && lower != "false") return Expected(value, "true or false");
  At<kPath...>(options) = lower == "true";
  return absl::OkStatus();
}

// A number of tokens, also as vLLM writes it: "32k" is 32000, "32K" 32768.
absl::Status SetMaxModelLen(EngineOptions& options, absl::string_view value) {
  absl::string_view digits = value;
  const int64_t unit = absl::ConsumeSuffix(&digits, "k")   ? 1000
                       : absl::ConsumeSuffix(&digits, "K") ? 1024
                                                           : 1;
  int64_t number = 0;
  if (!absl::SimpleAtoi(digits, &number) || number < 0 || number > kMaxCount / unit)
    return Expected(value,
                    absl::StrCat("a whole number from 0 to ", kMaxCount, ", or such as 32k"));
  options.cache.max_model_len = number * unit;
  return absl::OkStatus();
}

// "512MiB", "2GiB", "1.5G", plain bytes; the units of vLLM's human-readable sizes.
template <auto... kPath>
absl::Status SetBytes(EngineOptions& options, absl::string_view value) {
  static constexpr std::pair<absl::string_view, double> kUnits[] = {
      {"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}, {"tib", 1099511627776.0},
      {"kb", 1e3},     {"mb", 1e6},        {"gb", 1e9},           {"k", 1e3},
      {"m", 1e6},      {"g", 1e9},         {"t", 1e12},           {"b", 1}};
  std::string number = absl::AsciiStrToLower(value);
  double unit = 1;
  for (const auto& [suffix, factor] : kUnits) {
    if (number.size() > suffix.size() &&
        absl::string_view(number).substr(number.size() - suffix.size()) == suffix) {
      number.resize(number.size() - suffix.size());
      unit = factor;
      break;
    }
  }
  double parsed = 0;
  if (!absl::SimpleAtod(number, &parsed) || !(parsed >= 0) || parsed * unit > 1e15) {
    return Expected(value, "a size such as 512MiB, 4GiB or a number of bytes");
  }
  At<kPath...>(options) = static_cast<int64_t>(parsed * unit);
  return absl::OkStatus();
}

absl::Status SetMediaCache(EngineOptions& options, absl::string_view value) {
  double gib = 0;
  if (!absl::SimpleAtod(value, &gib) || !(gib >= 0) || gib > 1e6)
    return Expected(value, "a number of GiB, 0 or more");
  options.media_cache_bytes = static_cast<int64_t>(gib * (int64_t{1} << 30));
  return absl::OkStatus();
}

absl::Status SetKvShare(EngineOptions& options, absl::string_view value) {
  double share = 0;
  if (!absl::SimpleAtod(value, &share) || !(share > 0 && share <= 1))
    return Expected(value, "a share of the free memory, above 0 and at most 1");
  options.cache.memory_share = share;
  return absl::OkStatus();
}

absl::Status SetMaxDecodeSlowdown(EngineOptions& options, absl::string_view value) {
  double slowdown = 0;
  if (!absl::SimpleAtod(value, &slowdown) || !(slowdown == 0 || (slowdown > 1 && slowdown <= 1e6)))
    return Expected(value, "a number above 1, or 0 for no bound");
  options.scheduler.max_decode_slowdown = slowdown;
  return absl::OkStatus();
}

absl::Status SetSpecMethod(EngineOptions& options, absl::string_view value) {
  if (value != "none" && value != "ngram") return Expected(value, "none or ngram");
  options.speculation.method =
      value == "none" ? SpeculationMethod::kNone : SpeculationMethod::kNgram;
  return absl::OkStatus();
}

absl::Status SetDtype(EngineOptions& options, absl::string_view value) {
  const auto dtype = DTypeFromName(value);
  const bool served = dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
  if (value != "auto" && !served)
    return Expected(value, "auto, bfloat16 (bf16), float16 (half) or float32 (float)");
  options.model.dtype = served ? dtype : std::nullopt;
  return absl::OkStatus();
}

absl::Status SetKvDtype(EngineOptions& options, absl::string_view value) {
  if (value == "auto") {
    options.executor.kv_dtype.reset();
  } else if (value == "bf16" || value == "bfloat16") {
    options.executor.kv_dtype = DType::kBF16;
  } else if (value == "fp8" || value == "fp8_e4m3" || value == "fp8_e4m3fn" ||
             value == "fp8_per_token_head") {
    options.executor.kv_dtype = DType::kF8E4M3FN;
  } else if (value == "int8" || value == "int8_per_token_head") {
    options.executor.kv_dtype = DType::kI8;
  } else {
    return Expected(value, "auto, bf16 (bfloat16), fp8 (fp8_e4m3) or int8");
  }
  return absl::OkStatus();
}

absl::Status SetQuantize(EngineOptions& options, absl::string_view value) {
  const std::optional<Quantization> quantization = QuantizationFromName(value);
  if (!quantization.has_value())
    return Expected(value, "none, int8, int8-g128, w8a8, int4, int4-g64 or int4-g128");
  options.executor.quantization = *quantization;
  return absl::OkStatus();
}

absl::Status SetWeightCache(EngineOptions& options, absl::string_view value) {
  if (value.empty()) return Expected(value, "auto, off or a directory");
  if (value == "auto") {
    options.model.weight_cache.reset();
  } else {
    options.model.weight_cache = value == "off" ? "" : std::string(value);
  }
  return absl::OkStatus();
}

absl::Status SetModelImpl(EngineOptions& options, absl::string_view value) {
  const absl::StatusOr<ModelImpl> impl = ParseModelImpl(value);
  if (!impl.ok()) return Expected(value, "auto, native, plugin or transformers");
  options.model.impl = *impl;
  return absl::OkStatus();
}

absl::Status SetTrust(EngineOptions& options, absl::string_view value) {
  absl::StatusOr<RemoteCodePolicy> policy = ParseTrustRemoteCode(value);
  if (!policy.ok()) return WithFlag(policy.status(), "trust-remote-code");
  policy->trust_file = options.model.remote_code.trust_file;
  options.model.remote_code = *std::move(policy);
  return absl::OkStatus();
}

absl::Status SetContentFormat(EngineOptions& options, absl::string_view value) {
  if (value == "auto") {
    options.model.content_format.reset();
  } else if (value == "string") {
    options.model.content_format = ContentFormat::kString;
  } else if (value == "openai") {
    options.model.content_format = ContentFormat::kParts;
  } else {
    return Expected(value, "auto, string or openai");
  }
  return absl::OkStatus();
}

absl::Status SetParser(const std::vector<std::string>& known, absl::string_view value,
                       std::string& name) {
  const bool is_known = value == "auto" || value == "none" ||
                        std::find(known.begin(), known.end(), value) != known.end();
  if (!is_known) return Expected(value, absl::StrCat("auto, none, ", absl::StrJoin(known, ", ")));
  name = std::string(value);
  return absl::OkStatus();
}

absl::Status SetToolParser(EngineOptions& options, absl::string_view value) {
  return SetParser(ToolParserNames(), value, options.model.parsers.tools);
}

absl::Status SetReasoningParser(EngineOptions& options, absl::string_view value) {
  return SetParser(ReasoningParserNames(), value, options.model.parsers.reasoning);
}

absl::Status SetRunner(EngineOptions& options, absl::string_view value) {
  if (value == "auto") {
    options.pooling.runner = Runner::kAuto;
  } else if (value == "generate") {
    options.pooling.runner = Runner::kGenerate;
  } else if (value == "pooling") {
    options.pooling.runner = Runner::kPooling;
  } else {
    return Expected(value, "auto, generate or pooling");
  }
  return absl::OkStatus();
}

absl::Status SetConvert(EngineOptions& options, absl::string_view value) {
  if (value == "auto") {
    options.pooling.convert = Convert::kAuto;
  } else if (value == "none") {
    options.pooling.convert = Convert::kNone;
  } else if (value == "embed") {
    options.pooling.convert = Convert::kEmbed;
  } else if (value == "classify") {
    options.pooling.convert = Convert::kClassify;
  } else {
    return Expected(value, "auto, none, embed or classify");
  }
  return absl::OkStatus();
}

// vLLM's JSON: {"pooling_type": "MEAN", "use_activation": false}.
absl::Status SetPoolerConfig(EngineOptions& options, absl::string_view value) {
  constexpr char kExpected[] =
      "an object with pooling_type (CLS, LAST or MEAN) and use_activation (true or false)";
  const absl::StatusOr<boost::json::value> config = ParseJson(value, "--pooler-config");
  if (!config.ok() || !config->is_object()) return Expected(value, kExpected);
  PoolingOptions out = options.pooling;
  for (const auto& [key, setting] : config->get_object()) {
    if ((key == "pooling_type" || key == "seq_pooling_type") && setting.is_string()) {
      out.type.reset();
      for (const PoolingType type : {PoolingType::kCls, PoolingType::kLast, PoolingType::kMean})
        if (setting.get_string() == PoolingTypeName(type)) out.type = type;
      if (!out.type.has_value()) return Expected(value, kExpected);
    } else if (key == "use_activation" && setting.is_bool()) {
      out.use_activation = setting.get_bool();
    } else {
      return Expected(value, kExpected);
    }
  }
  options.pooling = out;
  return absl::OkStatus();
}

absl::Status SetExec(EngineOptions& options, absl::string_view value) {
  const std::optional<ExecMode> mode = ExecModeFromName(value);
  if (!mode.has_value()) return Expected(value, "compiled, graph, eager or shadow");
  options.executor.mode = *mode;
  return absl::OkStatus();
}

absl::Status AddDisabledPass(EngineOptions& options, absl::string_view value) {
  if (value.empty()) return Expected(value, "the name of a pass");
  options.executor.disabled_passes.emplace_back(value);
  return absl::OkStatus();
}

// One name, or several with commas between.
absl::Status AddMediaDomains(EngineOptions& options, absl::string_view value) {
  const std::vector<std::string> names = absl::StrSplit(value, ',');
  for (const std::string& name : names) {
    const bool is_name =
        !name.empty() && name[0] != '-' && std::all_of(name.begin(), name.end(), [](char c) {
          return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
        });
    if (!is_name) return Expected(value, "names of hosts as URLs have them: example.com");
  }
  auto& domains = options.media.allowed_domains;
  domains.insert(domains.end(), names.begin(), names.end());
  return absl::OkStatus();
}

// image=4,video=1, or the same as a JSON object.
absl::Status SetMediaLimits(EngineOptions& options, absl::string_view value) {
  constexpr char kExpected[] = "limits of image, video and audio, for instance image=4,video=0";
  std::map<std::string, int64_t> limits;
  std::string list = absl::StrReplaceAll(value, {{" ", ""}, {"\"", ""}, {":", "="}});
  if (absl::StartsWith(list, "{") && absl::EndsWith(list, "}"))
    list = list.substr(1, list.size() - 2);
  for (const absl::string_view item : absl::StrSplit(list, ',')) {
    const std::pair<absl::string_view, absl::string_view> limit = absl::StrSplit(item, '=');
    const absl::string_view modality = limit.first;
    int64_t number = 0;
    const bool is_known = modality == "image" || modality == "video" || modality == "audio";
    if (!is_known || !absl::SimpleAtoi(limit.second, &number) || number < 0)
      return Expected(value, kExpected);
    limits[std::string(modality)] = number;
  }
  options.media.limits = std::move(limits);
  return absl::OkStatus();
}

// {"video": {"num_frames": 32}} or {"video": {"fps": 2}}
absl::Status SetMediaIo(EngineOptions& options, absl::string_view value) {
  constexpr char kExpected[] =
      "{\"video\": {\"num_frames\": N}} or {\"video\": {\"fps\": F}}, a number above 0";
  const auto json = ParseJson(value, "media-io-kwargs");
  const boost::json::object* object = json.ok() ? json->if_object() : nullptr;
  const boost::json::value* video = object == nullptr ? nullptr : object->if_contains("video");
  if (video == nullptr || object->size() != 1 || !video->is_object() ||
      video->get_object().size() != 1)
    return Expected(value, kExpected);
  const auto& [key, number] = *video->get_object().begin();
  const double given = number.is_number() ? number.to_number<double>() : 0;
  const bool by_time = key == "fps";
  if ((!by_time && key != "num_frames") || !(given > 0 && given <= 1e6) ||
      (!by_time && given != static_cast<int32_t>(given)))
    return Expected(value, kExpected);
  options.media.video_fps = by_time ? given : 0;
  if (!by_time) options.media.video_frames = static_cast<int32_t>(given);
  return absl::OkStatus();
}

absl::Status AddPluginPath(EngineOptions& options, absl::string_view value) {
  if (value.empty()) return Expected(value, "a plugin file, or a directory of plugins");
  options.model.plugin_paths.emplace_back(value);
  return absl::OkStatus();
}

constexpr EngineFlag kFlags[] = {
    {"model", "Model", "PATH|ID", "",
     "directory of a checkpoint, or its Hugging Face id in the on-disk cache (HF_HOME, "
     "HF_HUB_CACHE)",
     SetText<&EngineOptions::model, &ModelOptions::name>},
    {"dtype", "Model", "TYPE", "auto",
     "type of weights and activations: auto (the checkpoint's), bfloat16, float16, float32",
     SetDtype},
    {"quantize", "Model", "TYPE", "none",
     "type of the linears' weights, quantized as they are loaded: none, int8, w8a8 (int8, and "
     "activations too), int4; int8-g128, int4-g64, int4-g128: a scale for so many weights, not 32",
     SetQuantize},
    {"max-model-len", "Model", "TOKENS", "0",
     "longest prompt and answer together, also as 32k (32000) or 32K (32768); 0: what the model's "
     "config says",
     SetMaxModelLen},
    {"model-impl", "Model", "NAME", "auto",
     "where the model's implementation comes from: auto (--plugin-path, else in-tree, else the "
     "checkpoint's graph file, else its own library if that is trusted), native (in-tree), plugin "
     "(--plugin-path or the checkpoint's own), transformers (a graph file, as one is exported from "
     "the Python class)",
     SetModelImpl},
    {"graph-dir", "Model", "DIR", "",
     "where graph files are that the checkpoint does not bring: DIR/<sha256 of config.json>.pb, "
     "else "
     "DIR/keel-graph.pb, as keel export-transformers -o DIR writes it",
     SetText<&EngineOptions::model, &ModelOptions::graph_dir>},
    {"plugin-path", "Model", "PATH", "",
     "plugin file, or directory of plugins, tried before the in-tree ones; may be given again",
     AddPluginPath},
    {"trust-remote-code", "Model", "POLICY", "false",
     "what a checkpoint's own plugin may do: false (nothing; a graph file is data and served), "
     "true "
     "(be recorded in a jail), or full (run in the process, if --trust-file pins it or the key "
     "that "
     "signed it; also full,<sha256>)",
     SetTrust},
    {"trust-file", "Model", "FILE", "",
     "pins and keys for --trust-remote-code=full, and files that may not run; default: "
     "/etc/keel/trust and ~/.config/keel/trust",
     SetText<&EngineOptions::model, &ModelOptions::remote_code, &RemoteCodePolicy::trust_file>},
    {"chat-template", "Model", "FILE", "",
     "a Jinja file to use instead of the checkpoint's chat template, or the template itself",
     SetText<&EngineOptions::model, &ModelOptions::chat_template>},
    {"chat-template-content-format", "Model", "FORMAT", "auto",
     "what a chat template is given as a message's content: string, openai (a list of parts), or "
     "auto (what its source reads)",
     SetContentFormat},
    {"tool-call-parser", "Model", "NAME", "auto",
     "how the model writes calls of tools: hermes, qwen3_coder, llama3_json, pythonic, mistral, "
     "deepseek_v3, deepseek_v31, granite, phi4_mini_json, openai (gpt-oss), auto (what its chat "
     "template shows) or none",
     SetToolParser},
    {"reasoning-parser", "Model", "NAME", "auto",
     "how the model writes what it thinks before an answer: qwen3, deepseek_r1, deepseek_v3, "
     "glm45, "
     "mistral, seed_oss, granite, openai_gptoss, auto (what its chat template shows) or none",
     SetReasoningParser},
    {"runner", "Model", "RUNNER", "auto",
     "what the model does: generate (text), pooling (embeddings, classes), or auto (pooling for an "
     "encoder, a classifier and what sentence-transformers' modules.json describes)",
     SetRunner},
    {"convert", "Model", "HOW", "auto",
     "how a model comes to give vectors: auto (its own head, else its hidden states), none (its "
     "own "
     "head), embed (its hidden states, whatever it was made for), classify (its own head for "
     "labels)",
     SetConvert},
    {"pooler-config", "Model", "JSON", "{}",
     "how hidden states become a vector, instead of what the model says: "
     "{\"pooling_type\": \"CLS\"|\"LAST\"|\"MEAN\", \"use_activation\": true|false}",
     SetPoolerConfig},
    {"attention-implementation", "Execution", "NAME", "",
     "paged, sdpa, eager or a plugin's, for all of a model or by part (text=NAME,image=NAME); "
     "default: the config's, else the fastest that serves the model",
     SetText<&EngineOptions::executor, &ExecutorOptions::attention>},
    {"exec", "Execution", "MODE", "compiled",
     "compiled: a step is a list of kernel calls, made of the recorded graph; graph: the graph "
     "node by node; eager: op by "
     "op through the plugin; shadow: the last two, compared",
     SetExec},
    {"disable-pass", "Execution", "NAME", "",
     "leaves out a pass over the graph of a compiled step; may be given several times",
     AddDisabledPass},
    {"print-graph", "Execution", "", "false",
     "prints the graph of a step when it is loaded, before and after the passes, or why none is "
     "compiled",
     SetSwitch<&EngineOptions::executor, &ExecutorOptions::print_graph>},
    {"deterministic", "Execution", "", "false",
     "same bits for a request whatever runs beside it; slower",
     SetSwitch<&EngineOptions::executor, &ExecutorOptions::deterministic>},
    {"threads", "Execution", "N", "0",
     "threads that compute a step; 0: OMP_NUM_THREADS, else the processors that this process may "
     "use "
     "(its affinity mask, its control group's quota)",
     SetInt<0, ThreadPool::kMaxThreads, &EngineOptions::threads>},
    {"pin-threads", "Execution", "", "false",
     "each thread stays on one processor: for a machine that nobody else uses",
     SetSwitch<&EngineOptions::pin_threads>},
    {"tensor-parallel-size", "Execution", "RANKS", "1", "ranks that share each layer",
     SetInt<1, 64, &EngineOptions::executor, &ExecutorOptions::tensor_parallel>},
    {"pipeline-parallel-size", "Execution", "STAGES", "1",
     "stages that the layers are divided into, each of tensor-parallel-size ranks",
     SetInt<1, 64, &EngineOptions::executor, &ExecutorOptions::pipeline_parallel>},
    {"enable-expert-parallel", "Execution", "", "false",
     "whole experts to each rank of tensor-parallel-size, instead of a part of each",
     SetSwitch<&EngineOptions::executor, &ExecutorOptions::expert_parallel>},
    {"kv-cache-memory-bytes", "Memory", "BYTES", "0",
     "memory of keys and values (4GiB, 512MiB); 0: --kv-cache-memory-share",
     SetBytes<&EngineOptions::cache, &CacheOptions::memory_bytes>},
    {"kv-cache-memory-share", "Memory", "SHARE", "0.25",
     "memory of keys and values as a share of what is free when the weights are loaded; never more "
     "than --max-num-seqs sequences of full length can use",
     SetKvShare},
    {"kv-cache-dtype", "Memory", "TYPE", "auto",
     "type of keys and values in the cache: auto (--dtype), bf16, or half as much memory: fp8 "
     "(e4m3) or int8, with a scale for each token and head",
     SetKvDtype},
    {"mm-processor-cache-gb", "Memory", "GIB", "4",
     "memory of what encoders made of images, video and audio, kept for when they come again",
     SetMediaCache},
    {"weight-cache", "Memory", "DIR", "auto",
     "where weights are kept as they were packed, for a quick next start: a directory, off, or "
     "auto "
     "($XDG_CACHE_HOME/keel/weights, else ~/.cache/keel/weights)",
     SetWeightCache},
    {"block-size", "Memory", "TOKENS", "16", "tokens in a cache block",
     SetInt<1, 1024, &EngineOptions::cache, &CacheOptions::block_size>},
    {"enable-prefix-caching", "Memory", "", "true",
     "reuse keys and values of prompts that begin alike",
     SetSwitch<&EngineOptions::cache, &CacheOptions::enable_prefix_caching>},
    {"allowed-local-media-path", "Media", "DIR", "",
     "directory below which requests may name files (file:///...); default: none may be read",
     SetText<&EngineOptions::media, &MediaOptions::allowed_local_path>},
    {"allowed-media-domains", "Media", "HOST", "",
     "host that media may be fetched from (https://, http://), by its whole name; may be given "
     "several times or be a list with commas; default: nothing is fetched",
     AddMediaDomains},
    {"limit-mm-per-prompt", "Media", "LIMITS", "",
     "items of each modality that a request may have: image=4,video=0; default: 999 of each",
     SetMediaLimits},
    {"max-media-bytes", "Media", "BYTES", "64MiB", "longest file of an image, a video or a sound",
     SetBytes<&EngineOptions::media, &MediaOptions::max_bytes>},
    {"max-media-pixels", "Media", "PIXELS", "178956970",
     "pixels of all images and frames of a request together, told before they are decoded",
     SetInt<1, int64_t{1} << 40, &EngineOptions::media, &MediaOptions::max_pixels>},
    {"media-io-kwargs", "Media", "JSON", "{\"video\": {\"num_frames\": 32}}",
     "which frames of a clip are taken: so many, evenly spread, or {\"video\": {\"fps\": 2}}",
     SetMediaIo},
    {"media-processes", "Media", "N", "2",
     "jailed processes that decode media: as many items are decoded at once",
     SetInt<1, 256, &EngineOptions::media, &MediaOptions::decoding_processes>},
    {"max-num-seqs", "Scheduling", "N", "64", "sequences in one step",
     SetInt<1, kMaxCount, &EngineOptions::scheduler, &SchedulerOptions::max_num_seqs>},
    {"max-num-batched-tokens", "Scheduling", "TOKENS", "2048",
     "tokens in one step, prefill and decode together",
     SetInt<1, kMaxCount, &EngineOptions::scheduler, &SchedulerOptions::max_num_batched_tokens>},
    {"max-decode-slowdown", "Scheduling", "TIMES", "1.75",
     "how many times as long prompts may make a step that others decode in: what a long prompt "
     "does to their time between tokens, by what earlier steps took; more where more prompts wait "
     "than sequences decode; 0: no bound",
     SetMaxDecodeSlowdown},
    {"max-prefill-beside-decodes", "Scheduling", "TOKENS", "0",
     "prompt tokens at most in a step that others decode in; 0: what --max-decode-slowdown leaves",
     SetInt<0, kMaxCount, &EngineOptions::scheduler,
            &SchedulerOptions::max_prefill_beside_decodes>},
    {"max-num-encoder-input-tokens", "Scheduling", "TOKENS", "256",
     "tokens of the images, videos and sounds that one call of an encoder takes together; one that "
     "has more goes alone, and with 0 each does",
     SetInt<0, kMaxCount, &EngineOptions::max_encoder_tokens>},
    {"max-queued-requests", "Scheduling", "N", "1024",
     "sequences (requests times n) that may wait; what would be more is refused",
     SetInt<1, kMaxCount, &EngineOptions::max_queued_requests>},
    {"spec-method", "Speculation", "METHOD", "none",
     "how tokens are guessed and then verified several at a time, which changes no text: none, or "
     "ngram (what followed when the text last ended as it does now)",
     SetSpecMethod},
    {"spec-tokens", "Speculation", "N", "5", "guesses in a step, for each sequence",
     SetInt<1, 64, &EngineOptions::speculation, &SpeculationOptions::max_drafts>},
    {"prompt-lookup-max", "Speculation", "N", "4", "longest run of tokens that ngram looks for",
     SetInt<1, 64, &EngineOptions::speculation, &SpeculationOptions::max_ngram>},
    {"prompt-lookup-min", "Speculation", "N", "2", "shortest run of tokens that ngram looks for",
     SetInt<1, 64, &EngineOptions::speculation, &SpeculationOptions::min_ngram>},
    {"trace", "Observability", "FILE", "",
     "write a step trace in Chrome's format: open it in ui.perfetto.dev",
     SetText<&EngineOptions::trace>},
};

}  // namespace

std::string ModelOptions::FindChatTemplate() const {
  const bool is_file = !chat_template.empty() && chat_template.find('{') == std::string::npos;
  return is_file ? JoinPath(base_dir, chat_template) : chat_template;
}

absl::Span<const EngineFlag> EngineFlags() { return kFlags; }

absl::Status SetEngineFlag(EngineOptions& options, absl::string_view name,
                           absl::string_view value) {
  std::vector<std::string> names;
  for (const EngineFlag& flag : kFlags) {
    if (flag.name != name) {
      names.emplace_back(flag.name);
      continue;
    }
    const absl::Status status = flag.set(options, value);
    if (status.ok() || !DetailOf(status, ErrorDetail::kFlag).empty()) return status;
    return WithFlag(absl::InvalidArgumentError(absl::StrCat("--", name, " is ", status.message())),
                    name);
  }
  const std::vector<std::string> near = NearestNames(name, names, 1);
  return WithFlag(absl::InvalidArgumentError(absl::StrCat(
                      "unknown option '", name, "'",
                      near.empty() ? "" : absl::StrCat("; did you mean '", near[0], "'?"))),
                  name);
}

}  // namespace keel
