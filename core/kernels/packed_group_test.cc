#include "core/kernels/packed_group.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

struct Shape {
  int64_t m, n;
};

// Linears of one k over fp32, each with an input of its own unless it follows its twin.
class Group {
 public:
  Group(const std::vector<Shape>& shapes, int64_t k, int seed) : random_(seed) {
    for (const Shape& s : shapes) {
      PackedLinear linear{.format = {WeightType::kF32}, .n = s.n, .k = k};
      const std::vector<float>& w = Numbers(s.n * k);
      const int64_t bytes = Panels(s.n) * PanelBytes(linear.format, k);
      packed_.emplace_back(static_cast<char*>(std::aligned_alloc(64, bytes)), std::free);
      PackPanels(linear.format, {KernelType::kF32, w.data(), s.n, k, k}, 0, Panels(s.n),
                 packed_.back().get());
      linear.weights = packed_.back().get();
      linear.bias = Numbers(s.n).data();
      linear.type = KernelType::kF32;
      linear.m = s.m;
      const bool is_twin =
          !linears_.empty() && linears_.back().m == s.m && linears_.size() % 2 == 1;
      linear.x = is_twin ? linears_.back().x : Numbers(s.m * k).data();
      linear.ldx = k;
      linear.y = Numbers(s.m * s.n).data();
      linear.ldy = s.n;
      linears_.push_back(linear);
    }
  }

  std::vector<PackedLinear>& linears() { return linears_; }

 private:
  std::vector<float>& Numbers(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float>& out =
        *numbers_.emplace_back(std::make_unique<std::vector<float>>(count + 1));
    for (float& x : out) x = normal(random_);
    return out;
  }

  std::mt19937 random_;
  std::vector<std::unique_ptr<std::vector<float>>> numbers_;
  std::vector<std::unique_ptr<char, void (*)(void*)>> packed_;
  std::vector<PackedLinear> linears_;
};

void ExpectWhatEachGivesAlone(Group& group) {
  RunPackedGroup(group.linears());
  for (size_t i = 0; i < group.linears().size(); ++i) {
    PackedLinear alone = group.linears()[i];
    std::vector<float> y(alone.m * alone.n + 1);
    alone.y = y.data();
    if (alone.m > 0) RunPackedLinear(alone);
    const float* got = static_cast<const float*>(group.linears()[i].y);
    double worst = 0;
    for (int64_t j = 0; j < alone.m * alone.n; ++j)
      worst = std::max<double>(worst, std::abs(got[j] - y[j]));
    EXPECT_LT(worst, 1e-4) << "linear " << i;
  }
}

TEST(PackedGroupTest, EachGivesWhatItGivesAlone) {
  Group few({{1, 200}, {1, 200}, {1, 72}, {1, 31}}, 96, 1);
  ExpectWhatEachGivesAlone(few);
  Group many({{3, 128}, {3, 128}, {0, 128}, {0, 128}, {600, 65}, {600, 64}, {1, 4096}, {17, 1}},
             130, 2);
  ExpectWhatEachGivesAlone(many);
}

TEST(PackedGroupTest, ManySmallOnesAndNoneAtAll) {
  std::vector<Shape> shapes;
  for (int i = 0; i < 200; ++i) shapes.push_back({i % 7, 33 + i % 3 * 64});
  Group group(shapes, 64, 3);
  ExpectWhatEachGivesAlone(group);
  RunPackedGroup({});
  Group idle({{0, 64}, {0, 64}}, 32, 4);
  RunPackedGroup(idle.linears());
}

TEST(PackedGroupTest, ACallsInputsAreNotTakenForTheLastOnes) {
  Group group({{2, 64}}, 64, 5);
  RunPackedGroup(group.linears());
  auto* x = static_cast<float*>(const_cast<void*>(group.linears()[0].x));
  std::fill(x, x + 128, 0.0f);
  RunPackedGroup(group.linears());
  for (int64_t i = 0; i < 128; ++i)
    EXPECT_EQ(static_cast<const float*>(group.linears()[0].y)[i], group.linears()[0].bias[i % 64]);
}

}  // namespace
}  // namespace keel
