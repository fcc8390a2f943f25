// Arguments: pairs of a family's shared library and a checkpoint with goldens.
#include "tests/parity/trace.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/parity/model_under_test.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

std::vector<std::pair<std::string, std::string>> g_models;  // of the command line

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a - b).max().item<double>() / at::abs(b).max().item<double>();
}

TEST(TracerTest, GivesTheLogitsAndTokensOfTransformers) {
  for (const auto& [plugin, dir] : g_models) {
    SCOPED_TRACE(dir);
    KEEL_ASSERT_OK_AND_ASSIGN(const auto model, ModelUnderTest::Open(plugin, dir));
    KEEL_ASSERT_OK_AND_ASSIGN(const auto tracer, Tracer::Open(plugin, dir));
    const Golden& golden = model->goldens()[1];
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, tracer->Logits(golden.prompt));
    EXPECT_LE(Difference(logits, golden.logits), 1e-4);
    KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> greedy, tracer->Greedy(golden.prompt, 8));
    EXPECT_EQ(greedy, std::vector<int32_t>(golden.greedy.begin(), golden.greedy.begin() + 8));
  }
}

TEST(TracerTest, LooksIntoEveryLayer) {
  for (const auto& [plugin, dir] : g_models) {
    SCOPED_TRACE(dir);
    KEEL_ASSERT_OK_AND_ASSIGN(const auto tracer, Tracer::Open(plugin, dir));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor whole, tracer->Logits({3, 4, 5}));
    at::Tensor last;
    for (int i = 0; i < tracer->num_layers(); ++i) {
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor layer, tracer->LayerLogits({3, 4, 5}, i));
      EXPECT_EQ(layer.sizes(), whole.sizes());
      if (last.defined()) {
        EXPECT_GT(Difference(layer, last), 1e-3) << "layer " << i;
      }
      last = layer;
    }
  }
}

TEST(TracerTest, RefusesALayerThatIsNotMarked) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto tracer, Tracer::Open(g_models[0].first, g_models[0].second));
  EXPECT_THAT(tracer->LayerLogits({3}, 99).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no layer 99 is marked")));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; i += 2) keel::g_models.emplace_back(argv[i], argv[i + 1]);
  if (keel::g_models.empty()) {
    std::fprintf(stderr, "usage: %s plugin.so checkpoint ...\n", argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
