// The numbers of a step, and what attention over them is.
#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/conformance/attention_step.h"

namespace keel::conformance {
namespace {

// One head of one query over keys [begin, end) of a sequence.
struct Head {
  const AttentionData& data;
  size_t sequence;
  int64_t query, head;

  double Score(int64_t key) const {
    const AttentionLayer& l = data.layer;
    const int64_t kv_head = head * l.kv_heads / l.heads;
    double sum = 0;
    for (int64_t i = 0; i < l.qk_dim; ++i) {
      sum += data.queries[sequence].At((query * l.heads + head) * l.qk_dim + i) *
             data.keys[sequence].At((key * l.kv_heads + kv_head) * l.qk_dim + i);
    }
    double score = sum / std::sqrt(static_cast<double>(l.qk_dim));
    if (l.softcap > 0) score = std::tanh(score / l.softcap) * l.softcap;
    return l.alibi ? score + data.slopes.At(head) * static_cast<double>(key - Position()) : score;
  }
  double Value(int64_t key, int64_t i) const {
    const AttentionLayer& l = data.layer;
    const int64_t kv_head = head * l.kv_heads / l.heads;
    return data.values[sequence].At((key * l.kv_heads + kv_head) * l.v_dim + i);
  }
  int64_t Position() const {
    return data.sequences[sequence].keys - data.sequences[sequence].queries + query;
  }
  bool Sees(int64_t key) const {
    const AttentionLayer& l = data.layer;
    return key <= Position() && (l.window == 0 || key > Position() - l.window) &&
           (l.chunk == 0 || key / l.chunk == Position() / l.chunk);
  }
};

}  // namespace

std::string ToString(const AttentionLayer& l) {
  std::string text = absl::StrCat(l.heads, " heads of ", l.kv_heads, ", keys of ", l.qk_dim,
                                  ", values of ", l.v_dim);
  if (l.latent) absl::StrAppend(&text, ", which are parts of the keys");
  if (l.window > 0) absl::StrAppend(&text, ", window ", l.window);
  if (l.chunk > 0) absl::StrAppend(&text, ", chunks of ", l.chunk);
  if (l.softcap > 0) absl::StrAppend(&text, ", softcap ", l.softcap);
  if (l.alibi) absl::StrAppend(&text, ", alibi_slopes");
  if (l.sinks) absl::StrAppend(&text, ", sinks");
  return absl::StrCat(text, l.dtype == KEEL_F32 ? ", float32" : ", bfloat16", ", blocks of ",
                      l.block_size);
}

AttentionData::AttentionData(const AttentionLayer& layer_in,
                             std::vector<AttentionSequence> sequences_in, uint64_t seed)
    : layer(layer_in), sequences(std::move(sequences_in)) {
  std::mt19937_64 random(seed);
  for (const AttentionSequence& s : sequences) {
    queries.emplace_back(layer.dtype, std::vector<int64_t>{s.queries, layer.heads, layer.qk_dim})
        .Randomize(random);
    keys.emplace_back(layer.dtype, std::vector<int64_t>{s.keys, layer.kv_heads, layer.qk_dim})
        .Randomize(random);
    TestTensor& v =
        values.emplace_back(layer.dtype, std::vector<int64_t>{s.keys, layer.kv_heads, layer.v_dim});
    v.Randomize(random);
    for (int64_t i = 0; i < v.elements() && layer.latent; ++i)
      v.Set(i, keys.back().At(i / layer.v_dim * layer.qk_dim + i % layer.v_dim));
  }
  // Larger than a model's, so that scores differ.
  for (TestTensor& q : queries) {
    for (int64_t i = 0; i < q.elements(); ++i) q.Set(i, 3 * q.At(i));
  }
  slopes = TestTensor(KEEL_F32, {layer.heads});
  for (int64_t h = 0; h < layer.heads; ++h) slopes.Set(h, 0.1 * static_cast<double>(h + 1));
  sinks = TestTensor(layer.dtype, {layer.heads});
  sinks.Randomize(random);
}

AttentionData AttentionData::Only(size_t s) const {
  AttentionData out;
  out.layer = layer;
  out.sequences = {sequences[s]};
  out.queries = {queries[s]};
  out.keys = {keys[s]};
  out.values = {values[s]};
  out.slopes = slopes;
  out.sinks = sinks;
  return out;
}

TestTensor PlainAttention(const AttentionData& data) {
  const AttentionLayer& l = data.layer;
  int64_t tokens = 0;
  for (const AttentionSequence& s : data.sequences) tokens += s.queries;
  TestTensor out(KEEL_F64, {tokens, l.heads, l.v_dim});
  int64_t row = 0;  // of a head
  for (size_t s = 0; s < data.sequences.size(); ++s) {
    for (int64_t query = 0; query < data.sequences[s].queries; ++query) {
      for (int64_t h = 0; h < l.heads; ++h, ++row) {
        const Head head{data, s, query, h};
        std::vector<double> sum(l.v_dim);
        double weights = l.sinks ? std::exp(data.sinks.At(h)) : 0;
        for (int64_t key = 0; key <= head.Position(); ++key) {
          if (!head.Sees(key)) continue;
          const double weight = std::exp(head.Score(key));
          weights += weight;
          for (int64_t i = 0; i < l.v_dim; ++i) sum[i] += weight * head.Value(key, i);
        }
        for (int64_t i = 0; i < l.v_dim; ++i) out.Set(row * l.v_dim + i, sum[i] / weights);
      }
    }
  }
  return out;
}

}  // namespace keel::conformance
