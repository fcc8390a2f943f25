// The clauses about memory: what a token and a sequence keep, what weights and cache take.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/cache/kv_cache.h"
#include "core/cache/recurrent_states.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/model/cache_size.h"
#include "core/ops/attention_layers.h"
#include "core/ops/ops.h"

namespace keel::clauses {
namespace {

constexpr int64_t kUnstatedLength = 2048;  // as SizeCache has it

std::string KindOf(const KvCache::Group& group) {
  if (group.window > 0) return absl::StrCat("window of ", group.window, " tokens");
  if (group.chunk > 0) return absl::StrCat("chunks of ", group.chunk, " tokens");
  return "full attention";
}

struct Kept {
  CacheLayout layout;
  std::vector<std::string> lines;
  int64_t token_bytes = 0;
};

absl::StatusOr<Kept> WhatIsKept(const Inspection& x) {
  Kept kept;
  const KvFormat kv = KvFormatOf(x);
  KEEL_ASSIGN_OR_RETURN(const std::vector<KvLayerSpec> layers,
                        AttentionLayers::KvLayersOf(x.graph, x.attention, x.dtype, kv));
  KEEL_ASSIGN_OR_RETURN(const KvCache cache, KvCache::Create(layers, kv.block_size, kv.dtype));
  for (const KvCache::Group& group : cache.groups()) {
    std::vector<int> of;
    for (const KvLayerSpec& layer : layers) {
      if (layer.window == group.window && layer.chunk == group.chunk) of.push_back(layer.layer);
    }
    std::sort(of.begin(), of.end());
    const int64_t bytes = group.block_bytes / kv.block_size;
    kept.token_bytes += bytes;
    kept.lines.push_back(absl::StrCat(LayersText(of), ": ", KindOf(group), ", ", BytesText(bytes),
                                      " a token in ", TorchName(kv.dtype)));
    kept.layout.groups.push_back({group.window, group.chunk, group.block_bytes});
  }
  KEEL_ASSIGN_OR_RETURN(const RecurrentStates states,
                        RecurrentStates::Create(StateSpecs(x.graph, x.dtype)));
  kept.layout.state_bytes = states.slot_bytes();
  if (!states.empty()) {
    kept.lines.push_back(
        absl::StrCat("recurrent states: ", BytesText(states.slot_bytes()), " a sequence"));
  }
  return kept;
}

}  // namespace

Finding Cache(Inspection& x) {
  absl::StatusOr<Kept> kept = WhatIsKept(x);
  if (!kept.ok()) return Fail(kept.status(), "mend what the plugin declares");
  x.cache = std::move(kept->layout);
  return Pass(absl::StrCat(BytesText(kept->token_bytes), " a token, ",
                           BytesText(x.cache.state_bytes), " of states a sequence"),
              std::move(kept->lines));
}

Finding WeightMemory(Inspection& x) {
  const auto quantization = x.options.engine.executor.quantization;
  const absl::StatusOr<int64_t> bytes = WeightBytes(*x.checkpoint, x.dtype, quantization);
  if (!bytes.ok()) return Fail(bytes.status(), "download the checkpoint again");
  const int64_t free = AvailableMemory();
  const bool is_plain = quantization == Quantization::kNone;
  const std::string text =
      absl::StrCat(BytesText(*bytes), " in ", TorchName(x.dtype), is_plain ? "" : " and ",
                   is_plain ? "" : QuantizationName(quantization), "; ", BytesText(free),
                   " are free on this machine");
  if (*bytes <= free) return Pass(text);
  return Warn(text,
              "serve it on a machine with more memory, in a smaller --dtype, or --quantize it");
}

Finding CacheMemory(Inspection& x) {
  const EngineOptions& engine = x.options.engine;
  const int64_t longest = x.graph.spec().max_positions();
  if (longest > 0 && engine.cache.max_model_len > longest) {
    return Fail(absl::StrCat("--max-model-len is ", engine.cache.max_model_len,
                             ", the model's config allows at most ", longest),
                "lower --max-model-len");
  }
  CacheNeed need{longest > 0 ? longest : kUnstatedLength, engine.scheduler.max_num_batched_tokens,
                 1, engine.cache.block_size};
  if (engine.cache.max_model_len > 0) need.max_len = engine.cache.max_model_len;
  // One sequence at full length takes what DivideCache gives one when there is enough.
  const auto one = DivideCache(x.cache, need, int64_t{1} << 60, /*use_all=*/false);
  if (!one.ok()) return Fail(one.status(), "lower --max-model-len");
  const int64_t of_sequence = one->bytes + x.cache.state_bytes;
  const std::string each =
      absl::StrCat(BytesText(of_sequence), " for a sequence of ", need.max_len, " tokens");
  if (engine.cache.memory_bytes == 0 || of_sequence == 0) return Pass(each);

  const int64_t given = engine.cache.memory_bytes;
  const std::string flag = absl::StrCat("--kv-cache-memory-bytes is ", BytesText(given));
  const auto fits = DivideCache(x.cache, need, given - x.cache.state_bytes, /*use_all=*/true);
  if (!fits.ok() || given < x.cache.state_bytes)
    return Fail(absl::StrCat(flag, ", too little for any; ", each), "raise it");
  if (fits->max_len < need.max_len) {
    return Warn(absl::StrCat(flag, ": texts of at most ", fits->max_len, " tokens; ", each),
                "raise it, or lower --max-model-len");
  }
  return Pass(
      absl::StrCat(flag, ": ", Count(given / of_sequence, "sequence"), " at full length; ", each));
}

}  // namespace keel::clauses
