// What codes cost: attention over rows that were written as codes, against the same rows as they are.
//
// A number x of a row whose largest magnitude is m comes back as x + e. int8 has steps of m / 127: |e| is at most half of
// one. e4m3 has 3 bits of mantissa, so steps of 1/8 of x's power of two, and near zero of 2^-9 of m / 448.
//
// With keys that are off by at most e_K, scores are off by at most d = scale * sum_i |q_i| e_K,i, so weights by factors
// within e^(-2d) and e^(2d), and the output by at most
//   e^(2d) sum_j p_j e_V,j + (e^2d - 1) sum_j p_j |v_j|.
// Errors are as good as independent and uniform, so what to expect, to the first order, is the root of
//   sum_j p_j^2 (var(e_V,j) + (v_j - out)^2 scale^2 sum_i q_i^2 var(e_K,j,i)),  var(e) = step^2 / 12.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/kv_codes.h"
#include "core/kernels/kv_type.h"
#include "core/kernels/paged_attention.h"
#include "core/kernels/row_ops.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2, kBlockSize = 16;

struct Sizes {
  int64_t keys, queries, qk_dim, v_dim;
};

// The step between codes around x, in a row whose largest magnitude is `largest`.
double StepOf(KvType type, double x, double largest) {
  if (type == KvType::kInt8) return largest / lanes::Int8::kMax;
  const double scale = largest / lanes::Fp8::kMax, code = std::abs(x) / scale;
  return scale * std::exp2(std::max(std::floor(std::log2(std::max(code, 1e-9))), -6.0) - 3);
}

// One sequence: its rows, a cache of them in a type, and attention over it.
class Sequence {
 public:
  explicit Sequence(const Sizes& sizes) : sizes_(sizes) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto fill = [&](int64_t count, float factor, std::vector<float>* x) {
      for (int64_t i = 0; i < count; ++i) x->push_back(factor * normal(random));
    };
    fill(sizes.queries * kHeads * sizes.qk_dim, 0.5f, &q);
    fill(sizes.keys * kKvHeads * sizes.qk_dim, 1, &k);
    fill(sizes.keys * kKvHeads * sizes.v_dim, 1, &v);
  }

  std::vector<float> Attend(KvType type, const RowOpsVariant& rows,
                            const PagedAttentionVariant& variant) const {
    const int64_t blocks = (sizes_.keys + kBlockSize - 1) / kBlockSize;
    const int64_t slots = blocks * kKvHeads * kBlockSize;
    std::vector<float> k_cache(slots * sizes_.qk_dim), v_cache(slots * sizes_.v_dim),
        k_scales(slots), v_scales(slots), out(sizes_.queries * kHeads * sizes_.v_dim);
    std::vector<int64_t> slot(sizes_.keys);
    for (int64_t i = 0; i < sizes_.keys; ++i) slot[i] = i;
    KvRows w;
    w.type = KernelType::kF32, w.stored = type;
    w.k = k.data(), w.k_row_stride = kKvHeads * sizes_.qk_dim, w.k_head_stride = sizes_.qk_dim;
    w.v = v.data(), w.v_row_stride = kKvHeads * sizes_.v_dim, w.v_head_stride = sizes_.v_dim;
    w.slots = slot.data(), w.k_cache = k_cache.data(), w.v_cache = v_cache.data();
    w.k_scales = k_scales.data(), w.v_scales = v_scales.data();
    w.rows = sizes_.keys, w.heads = kKvHeads, w.k_dim = sizes_.qk_dim, w.v_dim = sizes_.v_dim;
    w.block_size = kBlockSize;
    rows.write_kv(w, 0, sizes_.keys);

    std::vector<int32_t> table(blocks);
    for (int64_t i = 0; i < blocks; ++i) table[i] = static_cast<int32_t>(i);
    const auto keys = static_cast<int32_t>(sizes_.keys);
    const int32_t cu_q[] = {0, static_cast<int32_t>(sizes_.queries)};
    PagedAttention a;
    a.type = KernelType::kF32, a.kv_type = type;
    a.q = q.data(), a.q_token_stride = kHeads * sizes_.qk_dim, a.q_head_stride = sizes_.qk_dim;
    a.k_cache = k_cache.data(), a.v_cache = v_cache.data(), a.out = out.data();
    a.k_scales = k_scales.data(), a.v_scales = v_scales.data();
    a.heads = kHeads, a.kv_heads = kKvHeads, a.qk_dim = sizes_.qk_dim, a.v_dim = sizes_.v_dim;
    a.block_size = kBlockSize, a.max_blocks = blocks, a.num_sequences = 1;
    a.block_table = table.data(), a.seq_lens = &keys, a.cu_q = cu_q;
    a.scale = static_cast<float>(Scale());
    RunPagedAttention(a, variant);
    return out;
  }

  // Of each element of the output: what its error cannot exceed, and its expected square.
  struct Errors {
    std::vector<double> most, square;
  };
  Errors Predict(KvType type) const {
    const Steps key_steps(k, sizes_.qk_dim, type), value_steps(v, sizes_.v_dim, type);
    Errors errors;
    for (int64_t n = 0; n < sizes_.queries; ++n) {
      for (int64_t h = 0; h < kHeads; ++h) Predict(n, h, key_steps, value_steps, &errors);
    }
    return errors;
  }

 private:
  // Of each number of rows of `size`.
  struct Steps {
    std::vector<double> of;

    Steps(const std::vector<float>& rows, int64_t size, KvType type) {
      for (size_t row = 0; row < rows.size(); row += size) {
        double largest = 0;
        for (int64_t i = 0; i < size; ++i)
          largest = std::max(largest, std::abs(static_cast<double>(rows[row + i])));
        for (int64_t i = 0; i < size; ++i) of.push_back(StepOf(type, rows[row + i], largest));
      }
    }
  };

  double Scale() const { return 1 / std::sqrt(static_cast<double>(sizes_.qk_dim)); }

  void Predict(int64_t n, int64_t h, const Steps& key_steps, const Steps& value_steps,
               Errors* errors) const {
    const int64_t seen = sizes_.keys - sizes_.queries + n + 1, kv_head = h / (kHeads / kKvHeads);
    const float* query = q.data() + (n * kHeads + h) * sizes_.qk_dim;
    std::vector<double> p(seen), score_variance(seen);
    double sum = 0, most = 0;
    for (int64_t j = 0; j < seen; ++j) {
      const int64_t row = (j * kKvHeads + kv_head) * sizes_.qk_dim;
      double score = 0, of_score = 0;
      for (int64_t i = 0; i < sizes_.qk_dim; ++i) {
        const double x = query[i] * Scale(), step = key_steps.of[row + i];
        score += x * k[row + i];
        of_score += std::abs(x) * step / 2;
        score_variance[j] += x * x * step * step / 12;
      }
      p[j] = std::exp(score);
      sum += p[j];
      most = std::max(most, of_score);
    }
    const double factor = std::exp(2 * most);
    for (int64_t i = 0; i < sizes_.v_dim; ++i) {
      const auto at = [&](int64_t j) { return (j * kKvHeads + kv_head) * sizes_.v_dim + i; };
      double out = 0, bound = 0, square = 0;
      for (int64_t j = 0; j < seen; ++j) out += p[j] / sum * v[at(j)];
      for (int64_t j = 0; j < seen; ++j) {
        const double weight = p[j] / sum, x = v[at(j)], step = value_steps.of[at(j)];
        bound += weight * (factor * step / 2 + (factor - 1) * std::abs(x));
        square += weight * weight * (step * step / 12 + (x - out) * (x - out) * score_variance[j]);
      }
      errors->most.push_back(bound);
      errors->square.push_back(square);
    }
  }

  Sizes sizes_;
  std::vector<float> q, k, v;  // [tokens, heads, size]
};

TEST(KvErrorTest, IsWhatTheStepsOfCodesMakeIt) {
  const CpuFeatures cpu = DetectCpuFeatures();
  for (const Sizes& sizes : {Sizes{333, 9, 64, 64}, {90, 90, 128, 40}, {41, 1, 19, 37}}) {
    const Sequence sequence(sizes);
    for (const PagedAttentionVariant& variant : PagedAttentionVariants(cpu)) {
      for (const RowOpsVariant& rows : RowOpsVariants(cpu)) {
        const std::vector<float> exact = sequence.Attend(KvType::kF32, rows, variant);
        for (const KvType type : {KvType::kFp8, KvType::kInt8}) {
          const std::string where = variant.name + ", rows by " + rows.name +
                                    (type == KvType::kFp8 ? ", fp8" : ", int8") + " over " +
                                    std::to_string(sizes.keys) + " keys";
          const std::vector<float> out = sequence.Attend(type, rows, variant);
          const Sequence::Errors errors = sequence.Predict(type);
          double square = 0, expected = 0, beyond = -1;
          for (size_t i = 0; i < out.size(); ++i) {
            const double error = static_cast<double>(out[i]) - exact[i];
            square += error * error, expected += errors.square[i];
            beyond = std::max(beyond, std::abs(error) - errors.most[i] - 1e-5);
          }
          EXPECT_LE(beyond, 0) << where;
          EXPECT_NEAR(std::sqrt(square / expected), 1, 0.25) << where;
        }
      }
    }
  }
}

}  // namespace
}  // namespace keel
