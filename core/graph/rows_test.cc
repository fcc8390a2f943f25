#include "core/graph/rows.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_samples.h"
#include "core/graph/op_table.h"
#include "core/graph/verifier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::OpSample;
using ::keel::testing::OpSamples;
using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

using T = keel_tensor;

T View(keel_run* r, T x, std::initializer_list<int64_t> dims) {
  return r->ops->view(r, x, static_cast<uint32_t>(dims.size()), dims.begin());
}
T Permute(keel_run* r, T x, std::initializer_list<int32_t> order) {
  return r->ops->permute(r, x, static_cast<uint32_t>(order.size()), order.begin());
}
T Transposed(keel_run* r, T x) { return Permute(r, x, {1, 0}); }
T Indices(keel_run* r, T x) {  // [N], numbers that follow from each row
  T values = 0, indices = 0;
  r->ops->topk(r, x, 1, &values, &indices);
  return View(r, indices, {-1});
}
// A dependence on all rows that has x's shape.
T Added(keel_run* r, T x, T of_all) { return r->ops->add(r, x, of_all); }

struct Use {
  const char* name;
  T (*record)(keel_run*, T x);  // x [N, 64] -> [N, 64]
  const char* mixes;            // in the refusal; null: accepted
};

// Each op that could mix rows, once as it may be used and once as it may not.
const Use kUses[] = {
    {"softmax over features", [](keel_run* r, T x) { return r->ops->softmax(r, x, 1); }, nullptr},
    {"softmax over tokens", [](keel_run* r, T x) { return r->ops->softmax(r, x, 0); },
     "(softmax) could mix the rows of different requests: works along dimension 0"},
    {"softmax over tokens, from the end",
     [](keel_run* r, T x) { return r->ops->softmax(r, x, -2); }, "(softmax) could mix"},
    {"cumsum over features", [](keel_run* r, T x) { return r->ops->cumsum(r, x, -1); }, nullptr},
    {"cumsum over tokens", [](keel_run* r, T x) { return r->ops->cumsum(r, x, 0); },
     "(cumsum) could mix"},
    {"mean of features",
     [](keel_run* r, T x) { return Added(r, x, r->ops->reduce(r, x, 1, KEEL_REDUCE_MEAN, 1)); },
     nullptr},
    {"mean of tokens",
     [](keel_run* r, T x) { return Added(r, x, r->ops->reduce(r, x, 0, KEEL_REDUCE_MEAN, 0)); },
     "(reduce) could mix"},
    {"heads in and out of a view",
     [](keel_run* r, T x) {
       return View(r, View(r, x, {0, 4, 16}), {0, 64});
     },
     nullptr},
    {"heads behind tokens in one dimension",
     [](keel_run* r, T x) {
       return View(r, r->ops->softmax(r, View(r, x, {-1, 16}), 1), {-1, 64});
     },
     nullptr},
    {"two tokens in one row",
     [](keel_run* r, T x) {
       return View(r, View(r, x, {-1, 128}), {-1, 64});
     },
     "(view) could mix"},
    {"tokens behind heads in one dimension",
     [](keel_run* r, T x) {
       const T heads = Permute(r, View(r, x, {0, 4, 16}), {1, 0, 2});  // [4, N, 16]
       return View(r, View(r, heads, {-1, 16}), {-1, 64});
     },
     "(view) could mix"},
    {"transposed and back", [](keel_run* r, T x) { return Transposed(r, Transposed(r, x)); },
     nullptr},
    {"transposed under another name",
     [](keel_run* r, T x) {
       return View(r, View(r, Transposed(r, x), {-1}), {-1, 64});
     },
     "(view) could mix"},
    {"repeated features",
     [](keel_run* r, T x) { return r->ops->repeat(r, r->ops->narrow(r, x, 1, 0, 32), 1, 2); },
     nullptr},
    {"repeated tokens, put side by side",
     [](keel_run* r, T x) {
       return r->ops->narrow(r, View(r, r->ops->repeat(r, x, 0, 2), {-1, 128}), 1, 0, 64);
     },
     nullptr},
    {"every second token repeated",
     [](keel_run* r, T x) {
       x = r->ops->repeat(r, View(r, x, {-1, 128}), 0, 2);  // [N, 128]
       return View(r, r->ops->narrow(r, x, 1, 0, 64), {0, 64});
     },
     "(view) could mix"},
    {"a product with a transposed self",
     [](keel_run* r, T x) { return r->ops->matmul(r, r->ops->matmul(r, x, Transposed(r, x)), x); },
     "(matmul) could mix"},
    {"a sum over tokens in a product",
     [](keel_run* r, T x) { return r->ops->matmul(r, x, r->ops->matmul(r, Transposed(r, x), x)); },
     "(matmul) could mix"},
    {"a product within each token",
     [](keel_run* r, T x) {
       const T a = View(r, x, {0, 8, 8});
       return View(r, r->ops->matmul(r, a, a), {0, 64});
     },
     nullptr},
    {"an outer difference of tokens",
     [](keel_run* r, T x) {
       const T column = r->ops->narrow(r, x, 1, 0, 1);  // [N, 1]
       const T square = r->ops->sub(r, column, Transposed(r, column));
       return r->ops->matmul(r, square, x);
     },
     "(sub) could mix"},
    {"rows of a table",
     [](keel_run* r, T x) {
       const int64_t dims[] = {64, 1};
       static const float numbers[64] = {1, 2, 3};
       const T table =
           r->ops->cast(r, r->ops->constant(r, KEEL_F32, 2, dims, numbers), KEEL_DTYPE_MODEL);
       return Added(r, x, r->ops->gather_rows(r, table, Indices(r, x)));
     },
     nullptr},
    {"other tokens' rows",
     [](keel_run* r, T x) { return r->ops->gather_rows(r, x, Indices(r, x)); },
     "(gather_rows) could mix"},
    {"the first token's row",
     [](keel_run* r, T x) {
       const int64_t dims[] = {1}, first[] = {0};
       return Added(r, x, r->ops->gather_rows(r, x, r->ops->constant(r, KEEL_I64, 1, dims, first)));
     },
     "(gather_rows) could mix"},
    {"other tokens' rows replaced",
     [](keel_run* r, T x) { return r->ops->put_rows(r, x, Indices(r, x), x); },
     "(put_rows) could mix"},
    {"tokens written into a table",
     [](keel_run* r, T x) {
       const int64_t dims[] = {64, 64};
       static const float numbers[4096] = {1};
       const T table =
           r->ops->cast(r, r->ops->constant(r, KEEL_F32, 2, dims, numbers), KEEL_DTYPE_MODEL);
       return r->ops->matmul(r, x, r->ops->put_rows(r, table, Indices(r, x), x));
     },
     "(put_rows) could mix"},
    {"the same of two values of a token",
     [](keel_run* r, T x) {
       const T halves[] = {r->ops->narrow(r, x, 1, 32, 32), r->ops->narrow(r, x, 1, 0, 32)};
       return r->ops->cat(r, halves, 2, 1);
     },
     nullptr},
    {"values in the order of their size",
     [](keel_run* r, T x) {
       T values = 0, indices = 0;
       r->ops->topk(r, x, 64, &values, &indices);
       return r->ops->scatter(r, x, 1, indices, r->ops->take(r, x, 1, indices));
     },
     nullptr},
    {"rows taken along the tokens",
     [](keel_run* r, T x) {
       T values = 0, indices = 0;
       r->ops->topk(r, x, 64, &values, &indices);
       return r->ops->take(r, x, 0, indices);
     },
     "(take) could mix"},
    {"rows put along the tokens",
     [](keel_run* r, T x) {
       T values = 0, indices = 0;
       r->ops->topk(r, x, 64, &values, &indices);
       return r->ops->scatter(r, x, 0, indices, x);
     },
     "(scatter) could mix"},
    {"a number compared with every token's",
     [](keel_run* r, T x) {
       const T column = r->ops->narrow(r, x, 1, 0, 1);
       const T before = r->ops->compare(r, column, Transposed(r, column), KEEL_COMPARE_LT);
       return r->ops->matmul(r, r->ops->cast(r, before, KEEL_DTYPE_MODEL), x);
     },
     "(compare) could mix"},
    {"a column for every feature",
     [](keel_run* r, T x) { return r->ops->expand(r, r->ops->narrow(r, x, 1, 0, 1), x); }, nullptr},
    {"a table as long as the tokens",
     [](keel_run* r, T x) {
       const int64_t dims[] = {1, 1};
       const float one[] = {1};
       const T table = r->ops->expand(
           r, r->ops->cast(r, r->ops->constant(r, KEEL_F32, 2, dims, one), KEEL_DTYPE_MODEL), x);
       return Added(r, x, r->ops->cumsum(r, table, 0));
     },
     "(cumsum) could mix"},
    {"the best of a column",
     [](keel_run* r, T x) {
       T values = 0, indices = 0;
       r->ops->topk(r, View(r, x, {0, 8, 8}), 8, &values, &indices);
       return View(r, values, {0, 64});
     },
     nullptr},
};

TEST(RowsTest, AnOpMayWorkWithinARowAndNotAcrossRows) {
  for (const Use& use : kUses) {
    const absl::Status status = RecordTinyModel({.after_mlp = use.record}).status();
    if (use.mixes == nullptr) {
      EXPECT_EQ(status, absl::OkStatus()) << use.name;
    } else {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                   AllOf(HasSubstr("forward, node "), HasSubstr(use.mixes))))
          << use.name;
    }
  }
}

TEST(RowsTest, EverySampleOfAnOpKeepsRowsApart) {
  for (const OpSample& sample : OpSamples())
    EXPECT_EQ(RecordTinyModel(sample.model).status(), absl::OkStatus()) << sample.name;
}

TinyModel Convolution(int64_t kernel, int64_t padding) {
  static int64_t sizes[2];
  sizes[0] = kernel, sizes[1] = padding;
  return {
      .after_mlp = [](keel_run* r, T x) { return r->ops->conv(r, testing::kFirstExtraObject, x); },
      .declare =
          [](keel_build* b) {
            keel_conv_desc d{};
            d.struct_size = sizeof(d), d.ndim = 1, d.in = d.out = 64, d.stride[0] = 1;
            d.kernel[0] = sizes[0], d.padding[0] = sizes[1];
            b->api->conv(b, {"conv", 4}, &d);
          }};
}

TEST(RowsTest, AConvolutionOverTokensHasAKernelOfOne) {
  KEEL_EXPECT_OK(RecordTinyModel(Convolution(1, 0)).status());
  EXPECT_THAT(RecordTinyModel(Convolution(3, 1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("(conv conv) could mix"), HasSubstr("a kernel of 3"))));
}

// The same as data: what a file says is followed as what a plugin recorded.
class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(
        RecordedModel model,
        RecordTinyModel({.after_mlp = [](keel_run* r, T x) { return r->ops->softmax(r, x, 1); }}));
    graph_ = model.graph;
  }
  proto::Function& forward() { return *graph_.mutable_functions(0); }
  proto::Node& Softmax() {
    for (proto::Node& node : *forward().mutable_nodes()) {
      if (node.op() == proto::OP_SOFTMAX) return node;
    }
    return *forward().mutable_nodes(0);
  }
  proto::Function* Head(const std::string& name, int64_t size) {
    proto::Function* head = graph_.add_functions();
    head->set_name(name);
    head->add_inputs()->set_name("hidden");
    const TensorType rows{proto::MODEL, {{1, "R", 1}, {64, "", 1}}};
    *head->mutable_inputs(0)->mutable_type() = ToProto(rows);
    Add(head, op::AlongDim::Make(proto::OP_SOFTMAX, 1), {1}, rows);
    if (size != 64) {
      Add(head, op::Repeat::Make(1, size / 64), {2}, {proto::MODEL, {{1, "R", 1}, {size, "", 1}}});
    }
    head->add_outputs(1 + head->nodes_size());
    return head;
  }
  static void Add(proto::Function* f, proto::Node node, std::vector<uint32_t> inputs,
                  const TensorType& type) {
    node.mutable_inputs()->Add(inputs.begin(), inputs.end());
    node.add_outputs(1 + f->nodes_size() + 1);
    *node.add_types() = ToProto(type);
    *f->add_nodes() = std::move(node);
  }
  proto::Graph graph_;
};

auto Refused(const std::string& text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
}

TEST_F(FileTest, AGraphFileIsHeldToTheRule) {
  KEEL_ASSERT_OK(VerifyGraph(graph_));
  Softmax().set_ints(0, 0);
  EXPECT_THAT(VerifyGraph(graph_), Refused("(softmax) could mix the rows of different requests"));
}

TEST_F(FileTest, LogitsAreHeldToTheRule) {
  proto::Function* logits = Head("logits", 128);
  KEEL_ASSERT_OK(VerifyGraph(graph_));
  logits->mutable_nodes(0)->set_ints(0, 0);
  EXPECT_THAT(VerifyGraph(graph_), Refused("logits, node 0 (softmax) could mix"));
}

TEST_F(FileTest, AHeadOfVectorsIsHeldToTheRule) {
  proto::Function* pool = Head("pool", 64);
  KEEL_ASSERT_OK(VerifyGraph(graph_));
  pool->mutable_nodes(0)->set_ints(0, 0);
  EXPECT_THAT(VerifyGraph(graph_), Refused("pool, node 0 (softmax) could mix"));
}

TEST_F(FileTest, AnInputOfForwardIsTheTokensOwn) {
  proto::Function::Input* extra = forward().add_inputs();
  extra->set_name("extra");
  // Values are numbered behind the inputs.
  for (proto::Node& node : *forward().mutable_nodes()) {
    for (int i = 0; i < node.inputs_size(); ++i)
      if (node.inputs(i) > 2) node.set_inputs(i, node.inputs(i) + 1);
    for (int i = 0; i < node.outputs_size(); ++i) node.set_outputs(i, node.outputs(i) + 1);
  }
  forward().set_outputs(0, forward().outputs(0) + 1);
  const Extent n{1, "N", 1}, four{4, "", 1}, other{1, "S2", 1};
  *extra->mutable_type() = ToProto({proto::I64, {n, four}});
  KEEL_EXPECT_OK(VerifyGraph(graph_));
  for (const TensorType& type :
       {TensorType{proto::I64, {four}}, TensorType{proto::I64, {other}},
        TensorType{proto::I64, {n, n}}, TensorType{proto::I64, {n, other}}}) {
    *extra->mutable_type() = ToProto(type);
    EXPECT_THAT(VerifyGraph(graph_), Refused("input 'extra' of forward is")) << ToString(type);
  }
}

// An encoder may mix the rows of an item: its features are one request's.
TEST_F(FileTest, AnEncoderMayMixRows) {
  proto::Function* encode = graph_.add_functions();
  encode->set_name("encode/image");
  encode->add_inputs()->set_name("patches");
  const TensorType patches{proto::MODEL, {{1, "S1", 1}, {64, "", 1}}};
  *encode->mutable_inputs(0)->mutable_type() = ToProto(patches);
  Add(encode, op::AlongDim::Make(proto::OP_CUMSUM, 0), {1}, patches);
  encode->add_outputs(2);
  KEEL_EXPECT_OK(VerifyGraph(graph_));
}

// ---- attention -----------------------------------------------------------------------------------

TinyModel EncoderAttention(T (*record)(keel_run*, T)) {
  return {.after_mlp = record, .declare = [](keel_build* b) {
            keel_attention_desc d{};
            d.struct_size = sizeof(d), d.kind = KEEL_ATTENTION_ENCODER;
            d.heads = d.kv_heads = 4, d.qk_dim = d.v_dim = 16;
            b->api->attention(b, {"encoder", 7}, &d);
          }};
}

TEST(RowsTest, AnEncodersAttentionInForwardIsBoundedByTheHostNotByTheModel) {
  KEEL_EXPECT_OK(RecordTinyModel(EncoderAttention([](keel_run* r, T x) {
                   const T h = View(r, x, {0, 4, 16});
                   return View(
                       r, r->ops->attention(r, testing::kFirstExtraObject, h, h, h, nullptr, 0),
                       {0, 64});
                 })).status());
  EXPECT_THAT(
      RecordTinyModel(EncoderAttention([](keel_run* r, T x) {
        const T h = View(r, x, {0, 4, 16});
        const int64_t dims[] = {2};
        const int32_t all[] = {0, 8};
        const keel_arg segments{"segments", 0, r->ops->constant(r, KEEL_I32, 1, dims, all), 0};
        return View(r, r->ops->attention(r, testing::kFirstExtraObject, h, h, h, &segments, 1),
                    {0, 64});
      })),
      Refused("has the argument 'segments', expected none in forward"));
}

}  // namespace
}  // namespace keel
