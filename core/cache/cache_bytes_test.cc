// Sizes that come with a graph: what is too large is refused before anything is allocated.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>

#include <cstdint>
#include <limits>

#include "core/base/status_matchers.h"
#include "core/cache/checked_bytes.h"
#include "core/cache/kv_cache.h"
#include "core/cache/recurrent_states.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kHuge = int64_t{1} << 30;

TEST(CacheBytesTest, AProductThatOverflowsOrExceedsAMachineIsRefused) {
  EXPECT_THAT(CheckedBytes({2, 3, 4}), IsOkAndHolds(24));
  EXPECT_THAT(CheckedBytes({kMaxBytes}), IsOkAndHolds(kMaxBytes));
  for (const int64_t factor :
       {kMaxBytes + 1, std::numeric_limits<int64_t>::max(), int64_t{0}, int64_t{-1}}) {
    EXPECT_THAT(CheckedBytes({factor}), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(CheckedBytes({kHuge, kHuge, kHuge}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CacheBytesTest, AKvCacheWhoseBlocksExceedAMachineIsRefusedNamingTheLayer) {
  EXPECT_THAT(KvCache::Create({{.layer = 3, .kv_heads = kHuge, .qk_dim = kHuge, .v_dim = kHuge}},
                              16, DType::kF32),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("layer 3"), HasSubstr("1073741824"))));
  // Each by itself would fit.
  std::vector<KvLayerSpec> layers;
  for (int32_t layer = 0; layer < 40; ++layer)
    layers.push_back({.layer = layer, .kv_heads = 1 << 20, .qk_dim = 1 << 18, .v_dim = 1});
  EXPECT_THAT(KvCache::Create(layers, 16, DType::kF32),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// DeepSeek-V3's layer keeps 512 numbers of latent and 64 of rotated key a token, in bf16; with keys and values of all
// heads it would be 81920 bytes.
TEST(CacheBytesTest, ALatentIsKeptOnceForKeysAndValues) {
  c10::InferenceMode guard;  // as the cache is allocated in it
  KEEL_ASSERT_OK_AND_ASSIGN(
      KvCache cache,
      KvCache::Create(
          {{.layer = 0, .kv_heads = 1, .qk_dim = 576, .v_dim = 512, .values_in_keys = true}}, 16,
          DType::kBF16));
  EXPECT_EQ(cache.groups()[0].block_bytes, 16 * 1152);
  KEEL_ASSERT_OK(cache.Allocate({3}));
  EXPECT_EQ(cache.keys(0).nbytes(), size_t{3} * 16 * 1152);
  EXPECT_EQ(cache.values(0).data_ptr(), cache.keys(0).data_ptr());
  cache.keys(0).fill_(1).select(0, 2).fill_(7);
  KEEL_ASSERT_OK(cache.CopyBlock(0, 2, 1));
  EXPECT_EQ(cache.values(0).select(0, 1).min().item<float>(), 7);
  EXPECT_EQ(cache.values(0).select(0, 0).max().item<float>(), 1);
  EXPECT_THAT(KvCache::Create(
                  {{.layer = 0, .kv_heads = 1, .qk_dim = 8, .v_dim = 9, .values_in_keys = true}},
                  16, DType::kF32),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("values of 9 in keys of 8")));
}

// Codes and a scale for each token and head, of keys and of values; of values in keys once.
TEST(CacheBytesTest, RowsOfCodesHaveScales) {
  c10::InferenceMode guard;
  for (const DType dtype : {DType::kF8E4M3FN, DType::kI8}) {
    KEEL_ASSERT_OK_AND_ASSIGN(
        KvCache cache,
        KvCache::Create(
            {{.layer = 0, .kv_heads = 2, .qk_dim = 64, .v_dim = 32},
             {.layer = 1, .kv_heads = 1, .qk_dim = 64, .v_dim = 32, .values_in_keys = true}},
            16, dtype));
    EXPECT_EQ(cache.groups()[0].block_bytes, 16 * (2 * (64 + 32 + 2 * 4) + 64 + 4));
    KEEL_ASSERT_OK(cache.Allocate({3}));
    const at::Tensor slots = at::full({1}, 35, at::kLong);  // of block 2
    cache.Write(0, at::full({1, 2, 64}, 3.0f), at::full({1, 2, 32}, -5.0f), slots);
    cache.Write(1, at::full({1, 1, 64}, 7.0f), at::Tensor(), slots);
    KEEL_ASSERT_OK(cache.CopyBlock(0, 2, 1));
    const auto read = [](const at::Tensor& codes, const at::Tensor& scales) {
      return (codes.to(at::kFloat).select(0, 1).select(1, 3) *
              scales.select(0, 1).select(1, 3).unsqueeze(1))
          .contiguous();
    };
    EXPECT_NEAR(read(cache.keys(0), cache.key_scales(0)).sum().item<float>(), 128 * 3, 1e-3);
    EXPECT_NEAR(read(cache.values(0), cache.value_scales(0)).sum().item<float>(), 64 * -5, 1e-3);
    EXPECT_NEAR(read(cache.values(1), cache.value_scales(1)).sum().item<float>(), 32 * 7, 1e-3);
  }
  EXPECT_THAT(
      KvCache::Create({{.layer = 0, .kv_heads = 1, .qk_dim = 8, .v_dim = 8}}, 16, DType::kI32),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no KV cache of type int32")));
}

TEST(CacheBytesTest, AllocatingMoreBlocksThanAMachineHoldsIsRefused) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      KvCache cache,
      KvCache::Create({{.layer = 0, .kv_heads = 1 << 10, .qk_dim = 1 << 10, .v_dim = 1 << 10}}, 16,
                      DType::kF32));
  EXPECT_THAT(cache.Allocate({std::numeric_limits<int32_t>::max()}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CacheBytesTest, AStateThatExceedsAMachineIsRefusedNamingTheObject) {
  EXPECT_THAT(RecurrentStates::Create({{7, DType::kF32, {kHuge, kHuge, kHuge}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("state 7")));
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RecurrentStates states,
      RecurrentStates::Create({{1, DType::kF32, {2, 3}}, {2, DType::kBF16, {5}}}));
  EXPECT_EQ(states.slot_bytes(), 4 * 6 + 2 * 5);
}

}  // namespace
}  // namespace keel
