#include "core/graph/declaration.h"

#include <limits>
#include <string>

#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

auto Refused(const std::string& text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
}

// The same fault as a plugin declares it and as a graph file has it.
class DeclarationTest : public ::testing::Test {
 protected:
  void ExpectBothRefuse(void (*declare)(keel_build*), const proto::Declaration& declaration,
                        const std::string& text) {
    EXPECT_THAT(RecordTinyModel({.declare = declare}), Refused(text)) << "of a plugin";
    KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel());
    proto::Graph graph = model.graph;
    *graph.add_declarations() = declaration;
    graph.mutable_declarations(graph.declarations_size() - 1)->set_name("x");
    EXPECT_THAT(VerifyGraph(graph), Refused(text)) << "of a file";
  }
};

keel_str Name() { return {"x", 1}; }

TEST_F(DeclarationTest, AHeadOfSizeZeroNamesItsKeysOfTheConfig) {
  proto::Declaration d;
  d.mutable_rope();
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_rope_desc rope{};
        rope.struct_size = sizeof(rope);
        b->api->rope(b, &rope);
      },
      d, "head_dim is 0, expected 1 to 2^30; see head_dim (or hidden_size / num_attention_heads)");
}

TEST_F(DeclarationTest, ALinearNamesTheSizeThatIsWrong) {
  proto::Declaration d;
  d.mutable_linear()->set_in(-3);
  d.mutable_linear()->set_out(8);
  ExpectBothRefuse([](keel_build* b) { b->api->linear(b, Name(), -3, 8, 0); }, d,
                   "in is -3, expected 1 to 2^30");
}

TEST_F(DeclarationTest, ANormNeedsASmallPositiveEps) {
  proto::Declaration d;
  d.mutable_norm()->set_size(64);
  d.mutable_norm()->set_eps(2);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_norm_desc norm{};
        norm.struct_size = sizeof(norm), norm.size = 64, norm.eps = 2;
        b->api->norm(b, Name(), &norm);
      },
      d, "eps is 2, expected 0 < eps < 1; see rms_norm_eps");
}

proto::Declaration Attention(int64_t heads, int64_t kv_heads) {
  proto::Declaration d;
  proto::Attention* a = d.mutable_attention();
  a->set_kind(proto::Attention::ENCODER);
  a->set_kv_share_layer(-1);
  a->set_heads(heads), a->set_kv_heads(kv_heads), a->set_qk_dim(8), a->set_v_dim(8);
  a->set_scale(1);
  return d;
}

TEST_F(DeclarationTest, KeyValueHeadsDivideTheHeads) {
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_attention_desc a{};
        a.struct_size = sizeof(a), a.kind = KEEL_ATTENTION_ENCODER;
        a.heads = 6, a.kv_heads = 4, a.qk_dim = a.v_dim = 8;
        b->api->attention(b, Name(), &a);
      },
      Attention(6, 4),
      "heads (num_attention_heads) is 6, expected a multiple of kv_heads (num_key_value_heads), 4");
}

TEST_F(DeclarationTest, AnEncoderHasNoChunks) {
  proto::Declaration d = Attention(6, 2);
  d.mutable_attention()->set_chunk(16);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_attention_desc a{};
        a.struct_size = sizeof(a), a.kind = KEEL_ATTENTION_ENCODER;
        a.heads = 6, a.kv_heads = 2, a.qk_dim = a.v_dim = 8;
        a.chunk = 16;
        b->api->attention(b, Name(), &a);
      },
      d, "chunk is 16 of an encoder, expected 0, or segments");
}

TEST_F(DeclarationTest, LatentAttentionNeedsTheLinearThatExpandsLatents) {
  proto::Declaration d = Attention(6, 1);
  proto::Attention* latent = d.mutable_attention();
  latent->set_kind(proto::Attention::MLA);
  latent->set_kv_lora_rank(16), latent->set_rope_dim(4);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_attention_desc a{};
        a.struct_size = sizeof(a), a.kind = KEEL_ATTENTION_MLA;
        a.heads = 6, a.kv_heads = 1, a.qk_dim = a.v_dim = 8, a.kv_lora_rank = 16, a.rope_dim = 4;
        b->api->attention(b, Name(), &a);
      },
      d,
      "kv_up is object 0, a linear of 0 to 0, expected one declared before, of kv_lora_rank = 16 "
      "to "
      "72, heads * (qk_dim - rope_dim + v_dim), without a bias");
}

TEST_F(DeclarationTest, LatentAttentionHasOneHeadOfLatents) {
  proto::Declaration d = Attention(6, 2);
  proto::Attention* latent = d.mutable_attention();
  latent->set_kind(proto::Attention::MLA);
  latent->set_kv_lora_rank(16), latent->set_rope_dim(8);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_attention_desc a{};
        a.struct_size = sizeof(a), a.kind = KEEL_ATTENTION_MLA;
        a.heads = 6, a.kv_heads = 2, a.qk_dim = a.v_dim = 8, a.kv_lora_rank = 16, a.rope_dim = 8;
        b->api->attention(b, Name(), &a);
      },
      d,
      "kv_heads is 2, rope_dim 8, qk_dim 8, kv_share_layer -1, expected 1, less than qk_dim, and "
      "no "
      "sharing in latent attention");
}

TEST_F(DeclarationTest, AMixtureChoosesNoMoreExpertsThanItHas) {
  proto::Declaration d;
  proto::Moe* m = d.mutable_moe();
  m->set_act(KEEL_ACT_SILU);
  m->set_experts(4), m->set_top_k(5), m->set_hidden_size(64), m->set_intermediate_size(8);
  m->set_up("up"), m->set_down("down");
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_moe_desc moe{};
        moe.struct_size = sizeof(moe), moe.act = KEEL_ACT_SILU;
        moe.experts = 4, moe.top_k = 5, moe.hidden_size = 64, moe.intermediate_size = 8;
        moe.up = "up", moe.down = "down";
        b->api->moe(b, Name(), &moe);
      },
      d, "top_k is 5, expected at most experts, 4; see num_experts_per_tok in config.json");
}

TEST_F(DeclarationTest, GroupsOfExpertsDivideThem) {
  proto::Declaration d;
  proto::Moe* m = d.mutable_moe();
  m->set_act(KEEL_ACT_SILU);
  m->set_experts(4), m->set_top_k(2), m->set_hidden_size(64), m->set_intermediate_size(8);
  m->set_up("up"), m->set_down("down"), m->set_groups(3), m->set_top_groups(1);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_moe_desc moe{};
        moe.struct_size = sizeof(moe), moe.act = KEEL_ACT_SILU;
        moe.experts = 4, moe.top_k = 2, moe.hidden_size = 64, moe.intermediate_size = 8;
        moe.groups = 3, moe.top_groups = 1, moe.up = "up", moe.down = "down";
        b->api->moe(b, Name(), &moe);
      },
      d, "groups is 3, top_groups is 1, expected 0 each, or groups that divide experts, 4");
}

TEST_F(DeclarationTest, AConvolutionHasAStride) {
  proto::Declaration d;
  proto::Conv* c = d.mutable_conv();
  c->set_in(64), c->set_out(64), c->set_groups(1);
  c->add_kernel(1), c->add_stride(-1), c->add_padding(0);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_conv_desc conv{};
        conv.struct_size = sizeof(conv), conv.ndim = 1, conv.in = conv.out = 64;
        conv.kernel[0] = 1, conv.stride[0] = -1;
        b->api->conv(b, Name(), &conv);
      },
      d, "stride is -1, expected 1 to 2^30");
}

TEST_F(DeclarationTest, AStateIsOfALayerOfTheModel) {
  proto::Declaration d;
  d.mutable_state()->set_layer(2);
  d.mutable_state()->mutable_type()->add_dims()->set_size(4);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_state_desc state{};
        state.struct_size = sizeof(state), state.layer = 2, state.ndim = 1, state.dims[0] = 4;
        b->api->state(b, Name(), &state);
      },
      d, "layer is 2, expected 0 to num_layers - 1 = 1");
}

// Each dimension alone is small.
TEST_F(DeclarationTest, TheProductOfAStatesSizesIsBounded) {
  proto::Declaration d;
  d.mutable_state();
  for (int i = 0; i < 3; ++i)
    d.mutable_state()->mutable_type()->add_dims()->set_size(int64_t{1} << 30);
  ExpectBothRefuse(
      [](keel_build* b) {
        keel_state_desc state{};
        state.struct_size = sizeof(state), state.ndim = 3;
        state.dims[0] = state.dims[1] = state.dims[2] = int64_t{1} << 30;
        b->api->state(b, Name(), &state);
      },
      d, "expected at most 2^34 elements");
}

TEST_F(DeclarationTest, AParameterHasATypeThatIsKnown) {
  proto::Declaration d;
  d.mutable_param()->mutable_type()->set_dtype(static_cast<proto::DataType>(4242));
  d.mutable_param()->mutable_type()->add_dims()->set_size(4);
  ExpectBothRefuse(
      [](keel_build* b) {
        const int64_t dims[] = {4};
        b->api->param(b, Name(), 4242, 1, dims);
      },
      d, "data type 4242 is not known");
}

TEST(DeclareTest, ATieIsOfOneShapeAndToAWeightOfItsOwn) {
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     const keel_object a = b->api->linear(b, {"a", 1}, 8, 16, 0);
                                     b->api->tie(b, a, b->api->linear(b, {"b", 1}, 16, 8, 0));
                                   }}),
              Refused("declaring 'b': it is tied to 'a', which has another kind or shape"));
}

TEST(DeclareTest, ALongNameIsCutInMessages) {
  const absl::Status status = RecordTinyModel({.declare = [](keel_build* b) {
                                const std::string name(1 << 20, 'x');
                                b->api->linear(b, {name.data(), name.size()}, 0, 16, 0);
                              }}).status();
  EXPECT_THAT(status, Refused("xxx... (1048576 bytes)': in is 0"));
  EXPECT_LT(status.message().size(), 500u);
}

TEST(DeclareTest, BitsThatTheHostDoesNotKnowAreRefused) {
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     b->api->linear(b, {"a", 1}, 8, 16, 64);
                                   }}),
              Refused("declaring 'a': the description: flags are 0x40, expected bits of 0x1"));
}

TEST(DeclareTest, TypesOfCachesAndFilesAreRefusedByName) {
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     const int64_t dims[] = {4};
                                     b->api->param(b, {"a", 1}, KEEL_F8_E4M3FN, 1, dims);
                                   }}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("declaring 'a': data type KEEL_F8_E4M3FN is for caches")));
}

// 0 always means as before: groups, strides and the routed scale that nobody set are 1.
TEST(DeclareTest, ZeroIsTheDefault) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RecordedModel model, RecordTinyModel({.declare = [](keel_build* b) {
        keel_conv_desc conv{};
        conv.struct_size = sizeof(conv), conv.ndim = 1, conv.in = conv.out = 64, conv.kernel[0] = 1;
        b->api->conv(b, Name(), &conv);
        keel_moe_desc moe{};
        // As short as a header without limit and up_offset has it.
        moe.struct_size = offsetof(keel_moe_desc, limit), moe.limit = 7;
        moe.act = KEEL_ACT_SILU, moe.experts = 4, moe.top_k = 2, moe.hidden_size = 64;
        moe.intermediate_size = 32, moe.up = "{e}.up", moe.down = "{e}.down";
        b->api->moe(b, {"y", 1}, &moe);
      }}));
  const int size = model.graph.declarations_size();
  const proto::Conv& conv = model.graph.declarations(size - 2).conv();
  EXPECT_EQ(conv.groups(), 1);
  EXPECT_EQ(conv.stride(0), 1);
  const proto::Moe& moe = model.graph.declarations(size - 1).moe();
  EXPECT_EQ(moe.routed_scale(), 1);
  EXPECT_EQ(moe.limit(), 0);
}

TEST(DeclareTest, FrequenciesOfItsOwn) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RecordedModel model, RecordTinyModel({.declare = [](keel_build* b) {
        const double inv_freq[] = {1, 0.25};
        keel_rope_desc rope{};
        rope.struct_size = sizeof(rope), rope.head_dim = 16, rope.rotary_size = 4;
        rope.inv_freq = inv_freq, rope.num_inv_freq = 2;
        b->api->rope(b, &rope);
      }}));
  const proto::Rope& rope = model.graph.declarations(model.graph.declarations_size() - 1).rope();
  EXPECT_THAT(rope.inv_freq(), ::testing::ElementsAre(1, 0.25));
  EXPECT_EQ(rope.attention_factor(), 1);
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     const double inv_freq[] = {1};
                                     keel_rope_desc rope{};
                                     rope.struct_size = sizeof(rope), rope.head_dim = 16;
                                     rope.inv_freq = inv_freq, rope.num_inv_freq = 1;
                                     b->api->rope(b, &rope);
                                   }}),
              Refused("num_inv_freq is 1, rotary_size 0, expected half of rotary_size"));
}

TEST(DeclareTest, ADescriptionThatIsNullIsRefusedByName) {
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     b->api->norm(b, {"a", 1}, nullptr);
                                   }}),
              Refused("declaring 'a': the description is NULL"));
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     b->api->kernel(b, {"a", 1}, nullptr);
                                   }}),
              Refused("declaring 'a': the description is NULL"));
}

}  // namespace
}  // namespace keel
