#include "core/kernels/packed_experts.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

// Experts of random weights in fp32.
class Experts {
 public:
  Experts(int64_t count, int64_t hidden, int64_t inner, bool has_gate) : random_(3) {
    experts.hidden_size = hidden, experts.inner_size = inner, experts.has_gate = has_gate;
    for (int64_t e = 0; e < count; ++e) {
      experts.experts.push_back({has_gate ? Linear(inner, hidden) : nullptr, Linear(inner, hidden),
                                 Linear(hidden, inner)});
    }
  }

  std::vector<float> Numbers(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> out(count);
    for (float& x : out) x = normal(random_);
    return out;
  }

  // The expert's own answer for a row.
  std::vector<float> Alone(int64_t e, const float* x) const {
    const PackedExpert& expert = experts.experts[e];
    std::vector<float> up = Apply(*expert.up, x);
    const std::vector<float> gate = expert.gate != nullptr ? Apply(*expert.gate, x) : up;
    for (size_t i = 0; i < up.size(); ++i) {
      float g = gate[i], u = up[i];
      if (experts.limit > 0) {
        g = std::min(g, experts.limit);
        u = std::clamp(u, -experts.limit, experts.limit);
      }
      const float act = g / (1 + std::exp(-g));
      up[i] = expert.gate != nullptr ? act * (u + experts.up_offset) : act;
    }
    return Apply(*expert.down, up.data());
  }

  PackedExperts experts;

 private:
  static std::vector<float> Apply(const PackedLinear& linear, const float* x) {
    std::vector<float> y(linear.n);
    PackedLinear call = linear;
    call.m = 1, call.x = x, call.ldx = linear.k, call.y = y.data(), call.ldy = linear.n;
    RunPackedLinear(call);
    return y;
  }

  const PackedLinear* Linear(int64_t n, int64_t k) {
    PackedLinear& linear = linears_.emplace_back();
    linear.format = {WeightType::kF32};
    linear.n = n, linear.k = k;
    std::vector<float> w = Numbers(n * k);
    for (float& x : w) x *= 0.3f;
    packed_.emplace_back(
        static_cast<char*>(std::aligned_alloc(64, Panels(n) * PanelBytes(linear.format, k))),
        std::free);
    PackPanels(linear.format, {KernelType::kF32, w.data(), n, k, k}, 0, Panels(n),
               packed_.back().get());
    linear.weights = packed_.back().get();
    linear.bias = biases_.emplace_back(Numbers(n)).data();
    return &linear;
  }

  std::mt19937 random_;
  std::deque<PackedLinear> linears_;
  std::deque<std::vector<float>> biases_;
  std::vector<std::unique_ptr<char, void (*)(void*)>> packed_;
};

struct Routing {
  std::vector<int64_t> chosen;  // [rows, top_k]
  std::vector<float> weights;
  int64_t top_k;
};

Routing RandomRouting(Experts& experts, int64_t rows, int64_t top_k) {
  const auto count = static_cast<int64_t>(experts.experts.experts.size());
  Routing routing{{}, experts.Numbers(rows * top_k), top_k};
  for (int64_t i = 0; i < rows * top_k; ++i)
    routing.chosen.push_back((i * 7 + i / top_k * 3 + i * i % 5) % count);
  return routing;
}

// x of rows a little further apart than they are long.
void ExpectSumsOfEachAlone(Experts& e, const Routing& routing, int64_t rows) {
  const int64_t hidden = e.experts.hidden_size, stride = hidden + 3;
  const std::vector<float> x = e.Numbers(rows * stride);
  std::vector<float> y(rows * hidden, NAN);
  const int64_t bytes = rows * ExpertScratchBytes(e.experts, routing.top_k);
  const std::unique_ptr<void, void (*)(void*)> scratch(std::aligned_alloc(64, bytes), std::free);
  ExpertRows call;
  call.x = x.data(), call.y = y.data();
  call.rows = rows, call.x_stride = stride, call.top_k = routing.top_k;
  call.chosen = routing.chosen.data(), call.weights = routing.weights.data();
  call.chosen_stride = call.weights_stride = routing.top_k;
  call.scratch = scratch.get();
  RunPackedExperts(e.experts, call);
  const auto last = static_cast<int64_t>(e.experts.experts.size()) - 1;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> expected(hidden);
    for (int64_t i = row * routing.top_k; i < (row + 1) * routing.top_k; ++i) {
      const int64_t expert = std::clamp<int64_t>(routing.chosen[i], 0, last);
      if (e.experts.experts[expert].up == nullptr) continue;
      const std::vector<float> one = e.Alone(expert, x.data() + row * stride);
      for (int64_t j = 0; j < hidden; ++j) expected[j] += routing.weights[i] * one[j];
    }
    for (int64_t j = 0; j < hidden; ++j)
      ASSERT_NEAR(y[row * hidden + j], expected[j], 2e-4) << "row " << row << " of " << rows;
  }
}

TEST(PackedExpertsTest, ARowIsTheWeightedSumOfItsExperts) {
  for (const bool has_gate : {true, false}) {
    Experts experts(11, 67, 70, has_gate);
    for (const int64_t rows : {1, 2, 33, 300})
      ExpectSumsOfEachAlone(experts, RandomRouting(experts, rows, 4), rows);
  }
}

TEST(PackedExpertsTest, ExpertsOfOtherRanksAddNothing) {
  Experts experts(6, 31, 65, true);
  for (const int e : {0, 2, 3, 5}) experts.experts.experts[e] = {};
  for (const int64_t rows : {1, 40})
    ExpectSumsOfEachAlone(experts, RandomRouting(experts, rows, 3), rows);
  ExpectSumsOfEachAlone(experts, {{0, 2, 5, 3}, {1, 2, 3, 4}, 2}, 2);  // nobody's
}

TEST(PackedExpertsTest, NumbersOfNoExpertAreTheNearestOnes) {
  Experts experts(3, 16, 16, true);
  ExpectSumsOfEachAlone(experts, {{-5, 7, 1, INT64_MAX, INT64_MIN, 1}, {1, 2, 3, 4, 5, 6}, 3}, 2);
}

TEST(PackedExpertsTest, ARowMayNameAnExpertTwice) {
  Experts experts(3, 20, 20, true);
  ExpectSumsOfEachAlone(experts, {{1, 1, 1}, {1, 2, 3}, 3}, 1);
}

TEST(PackedExpertsTest, LimitsAndOffsetsAreThoseOfTheExperts) {
  Experts experts(4, 40, 50, true);
  experts.experts.limit = 0.5f, experts.experts.up_offset = 1;
  ExpectSumsOfEachAlone(experts, RandomRouting(experts, 9, 2), 9);
}

TEST(PackedExpertsTest, NoRowsAreNoWork) {
  Experts experts(2, 16, 16, true);
  ExpectSumsOfEachAlone(experts, {{}, {}, 2}, 0);
}

}  // namespace
}  // namespace keel
