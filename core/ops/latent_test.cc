#include "core/ops/latent.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/randn.h>

#include <memory>

#include "core/weights/linear_weight.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kTokens = 5, kHeads = 3, kNope = 6, kRope = 4, kRank = 7, kValue = 8;

proto::Attention Latent() {
  proto::Attention a;
  a.set_kind(proto::Attention::MLA);
  a.set_heads(kHeads), a.set_kv_heads(1), a.set_qk_dim(kNope + kRope), a.set_v_dim(kValue);
  a.set_kv_lora_rank(kRank), a.set_rope_dim(kRope);
  a.set_scale(0.125);
  return a;
}

void ExpectClose(const at::Tensor& actual, const at::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE(at::abs(actual - expected).max().item<double>(), 1e-4);
}

TEST(LatentTest, IsAttentionOverOneHeadOfLatents) {
  const proto::Attention plain = AttentionOverLatents(Latent());
  EXPECT_EQ(plain.kind(), proto::Attention::CAUSAL);
  EXPECT_EQ(plain.heads(), kHeads);
  EXPECT_EQ(plain.kv_heads(), 1);
  EXPECT_EQ(plain.qk_dim(), kRank + kRope);
  EXPECT_EQ(plain.v_dim(), kRank);
  EXPECT_EQ(plain.scale(), 0.125);
}

class LatentUpTest : public ::testing::TestWithParam<Numerics> {};

TEST_P(LatentUpTest, ScoresAndOutputsAreThoseOfExpandedKeysAndValues) {
  const at::Tensor weight = at::randn({kHeads * (kNope + kValue), kRank});
  const auto linear = std::make_shared<const DenseLinear>(weight, at::Tensor(), GetParam());
  const LatentUp up(Latent(), linear, at::kFloat, GetParam());
  const at::Tensor q = at::randn({kTokens, kHeads, kNope + kRope});
  const at::Tensor latents = at::randn({kTokens, 1, kRank}),
                   rotated = at::randn({kTokens, 1, kRope});
  const at::Tensor expanded =
      linear->Apply(latents.squeeze(1)).view({kTokens, kHeads, kNope + kValue});

  const at::Tensor scores =
      at::einsum("nhd,md->hnm", {up.Queries(q), LatentUp::Keys(latents, rotated).squeeze(1)});
  ExpectClose(scores,
              at::einsum("nhd,mhd->hnm", {q.narrow(2, 0, kNope), expanded.narrow(2, 0, kNope)}) +
                  at::einsum("nhd,md->hnm", {q.narrow(2, kNope, kRope), rotated.squeeze(1)}));

  const at::Tensor p = at::randn({kHeads, kTokens, kTokens});
  const at::Tensor sums = at::einsum("hnm,mr->nhr", {p, latents.squeeze(1)});
  ExpectClose(up.Outputs(sums), at::einsum("hnm,mhv->nhv", {p, expanded.narrow(2, kNope, kValue)}));
  EXPECT_TRUE(up.Outputs(sums).is_contiguous());
}

TEST_P(LatentUpTest, ARankHasItsHeads) {
  const at::Tensor weight = at::randn({4 * (kNope + kValue), kRank});
  const auto linear = std::make_shared<const DenseLinear>(weight, at::Tensor(), GetParam());
  proto::Attention whole = Latent(), half = Latent();
  whole.set_heads(4), half.set_heads(2);
  const LatentUp up(whole, linear, at::kFloat, GetParam());
  const LatentUp second(half, linear->Shard({WeightSplit::kRows, 2}, 1), at::kFloat, GetParam());
  const at::Tensor q = at::randn({kTokens, 4, kNope + kRope});
  ExpectClose(second.Queries(q.narrow(1, 2, 2)), up.Queries(q).narrow(1, 2, 2));
}

TEST(LatentExpansionTest, PaysForPromptsAndNotForDecodesOrShortChunksOfLongOnes) {
  proto::Attention v3 = Latent();  // DeepSeek-V3's sizes, of one head
  v3.set_heads(1), v3.set_qk_dim(192), v3.set_rope_dim(64), v3.set_v_dim(128);
  v3.set_kv_lora_rank(512);
  const LatentUp up(
      v3, std::make_shared<DenseLinear>(at::randn({256, 512}), at::Tensor(), Numerics::kFastest),
      at::kFloat, Numerics::kFastest);
  EXPECT_TRUE(up.ShouldExpand(8, 8));
  EXPECT_TRUE(up.ShouldExpand(512, 4096));
  EXPECT_FALSE(up.ShouldExpand(1, 1));
  EXPECT_FALSE(up.ShouldExpand(64, 4096));
}

INSTANTIATE_TEST_SUITE_P(Numerics, LatentUpTest,
                         ::testing::Values(Numerics::kFastest, Numerics::kInvariant),
                         [](const auto& info) {
                           return info.param == Numerics::kInvariant ? "Invariant" : "Fastest";
                         });

}  // namespace
}  // namespace keel
