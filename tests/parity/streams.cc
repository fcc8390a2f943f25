#include "tests/parity/streams.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

constexpr int32_t kBlockSize = 16;

std::vector<Stream> NewStreams(const std::vector<const Golden*>& goldens) {
  std::vector<int32_t> order(kBlocks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(7));
  std::vector<Stream> streams;
  size_t next = 0;
  for (const Golden* golden : goldens) {
    Stream stream{golden, golden->prompt, {}, -1, 0, {}};
    const size_t tokens = golden->prompt.size() + golden->greedy.size();
    for (size_t i = 0; i < tokens; i += kBlockSize) stream.blocks.push_back(order[next++]);
    streams.push_back(std::move(stream));
  }
  return streams;
}

// Its blocks in every group of layers: the same, but for those that a window has passed.
std::vector<std::vector<int32_t>> BlocksOf(const Stream& stream, const CacheLayout& layout) {
  std::vector<std::vector<int32_t>> out;
  for (const CacheLayout::Group& group : layout.groups) {
    out.push_back(stream.blocks);
    const int64_t passed = group.window > 0 ? stream.done + 1 - group.window : 0;
    for (int64_t i = 0; (i + 1) * kBlockSize <= passed; ++i) out.back()[i] = kNoBlock;
  }
  return out;
}

// Of the tokens from `first` on, which the batch has.
void AskForVectors(const Stream& stream, int32_t first, int32_t tokens, Batch& batch) {
  const Golden& golden = *stream.golden;
  const auto types = golden.types.begin() + stream.done;
  batch.token_types.insert(batch.token_types.end(), types, types + tokens);
  if (golden.pooled.has_value()) {
    batch.pooled.push_back({first + golden.pooled->first, golden.pooled->num});
  } else {
    for (int32_t i = 0; i < tokens; ++i) batch.pooled.push_back({first + i, 1});
  }
}

absl::Status GiveStates(Executor& executor, std::vector<Stream>& streams) {
  if (executor.cache_layout().state_bytes == 0) return absl::OkStatus();
  CacheWork zeros;
  for (Stream& stream : streams) {
    stream.state_slot = kStateSlots - 1 - static_cast<int32_t>(zeros.states.size());
    zeros.states.push_back({-1, stream.state_slot});
  }
  return executor.Do(zeros);
}

}  // namespace

absl::StatusOr<std::vector<Stream>> RunStreams(Executor& executor,
                                               const std::vector<const Golden*>& goldens,
                                               int32_t chunk) {
  std::vector<Stream> streams = NewStreams(goldens);
  KEEL_RETURN_IF_ERROR(GiveStates(executor, streams));
  const CacheLayout layout = executor.cache_layout();
  for (;;) {
    Batch batch;
    std::vector<std::pair<Stream*, int32_t>> parts;
    for (Stream& stream : streams) {
      if (stream.finished()) continue;
      const int32_t tokens = std::min(chunk, static_cast<int32_t>(stream.ids.size()) - stream.done);
      const auto first = static_cast<int32_t>(batch.token_ids.size());
      const auto begin = stream.ids.begin() + stream.done;
      batch.token_ids.insert(batch.token_ids.end(), begin, begin + tokens);
      if (stream.golden->vectors.defined()) {
        AskForVectors(stream, first, tokens, batch);
      } else {
        for (int32_t i = 0; i < tokens; ++i) batch.logit_rows.push_back(first + i);
      }
      batch.sequences.push_back(
          {stream.done, tokens, stream.state_slot, BlocksOf(stream, layout), stream.prompt_size()});
      parts.emplace_back(&stream, tokens);
    }
    if (parts.empty()) return streams;
    KEEL_ASSIGN_OR_RETURN(const at::Tensor logits, executor.Step(batch));
    int64_t row = 0;
    for (const auto& [stream, tokens] : parts) {
      const int64_t rows = stream->golden->pooled.has_value() ? 1 : tokens;
      const at::Tensor own = logits.narrow(0, row, rows);
      row += rows;
      if (stream->done < stream->prompt_size()) stream->prompt_logits.push_back(own.clone());
      stream->done += tokens;
      if (stream->done < static_cast<int32_t>(stream->ids.size()) || stream->finished()) continue;
      const at::Tensor last = own.select(0, tokens - 1);
      stream->ids.push_back(static_cast<int32_t>(at::argmax(last).item<int64_t>()));
    }
  }
}

absl::StatusOr<Deviation> DeviationOf(const Stream& stream) {
  Deviation out;
  const at::Tensor& golden =
      stream.golden->vectors.defined() ? stream.golden->vectors : stream.golden->logits;
  KEEL_ASSIGN_OR_RETURN(out.logits, CatchAten([&] {
                          const at::Tensor logits = at::cat(stream.prompt_logits);
                          if (logits.sizes() != golden.sizes())
                            return std::numeric_limits<double>::infinity();
                          return at::abs(logits - golden).max().item<double>() /
                                 at::abs(golden).max().item<double>();
                        }));
  const auto generated = stream.ids.begin() + stream.prompt_size();
  out.same_tokens = std::vector<int32_t>(generated, stream.ids.end()) == stream.golden->greedy;
  return out;
}

}  // namespace keel
