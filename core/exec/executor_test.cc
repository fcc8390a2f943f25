// A tiny Llama-shaped model, recorded through the ABI, with random weights, held against the same
// mathematics written directly in fp64 over whole sequences.
#include "core/exec/executor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Tensors = std::map<std::string, at::Tensor>;

constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 16;

// ---- the model, straight from the paper -----------------------------------------------------

at::Tensor Weight(const Tensors& t, const std::string& name) {
  return t.at(name + ".weight").to(at::kDouble);
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& w) {
  return x * at::rsqrt(x.square().mean(-1, true) + 1e-6) * w;
}

at::Tensor Rotate(const at::Tensor& x) {  // [N, heads, D], positions 0 .. N - 1
  const at::Tensor positions = at::arange(x.size(0), at::kDouble).view({-1, 1, 1});
  const at::Tensor frequencies =
      at::pow(10000.0, at::arange(0, kDim, 2, at::kDouble) / double(kDim) * -1.0);
  const at::Tensor angles = at::cat({positions * frequencies, positions * frequencies}, -1);
  const at::Tensor half =
      at::cat({x.narrow(2, kDim / 2, kDim / 2) * -1.0, x.narrow(2, 0, kDim / 2)}, 2);
  return x * at::cos(angles) + half * at::sin(angles);
}

at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t n = q.size(0);
  const at::Tensor keys = k.repeat_interleave(kHeads / kKvHeads, 1).transpose(0, 1);
  const at::Tensor values = v.repeat_interleave(kHeads / kKvHeads, 1).transpose(0, 1);
  at::Tensor scores = at::matmul(q.transpose(0, 1), keys.transpose(1, 2)) / 4.0;
  const at::Tensor hidden = at::ones({n, n}, at::kBool).triu(1);
  scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores, -1), values).transpose(0, 1).reshape({n, -1});
}

// Logits of every position, f64 [N, vocab]. `share_kv`: layer 1 has the keys and values of layer 0.
at::Tensor Reference(const Tensors& t, const std::vector<int32_t>& ids, bool share_kv = false) {
  const int64_t n = static_cast<int64_t>(ids.size());
  const at::Tensor embed = Weight(t, "model.embed_tokens");
  std::vector<at::Tensor> rows;
  for (int32_t id : ids) rows.push_back(embed.narrow(0, id, 1));
  at::Tensor x = at::cat(rows), k, v;
  for (int i = 0; i < 2; ++i) {
    const std::string p = absl::StrCat("model.layers.", i, ".");
    const auto linear = [&](const std::string& name, const at::Tensor& in) {
      return at::linear(in, Weight(t, p + name));
    };
    at::Tensor h = RmsNorm(x, Weight(t, p + "input_layernorm"));
    const at::Tensor q = Rotate(linear("self_attn.q_proj", h).view({n, kHeads, kDim}));
    if (i == 0 || !share_kv) {
      k = Rotate(linear("self_attn.k_proj", h).view({n, kKvHeads, kDim}));
      v = linear("self_attn.v_proj", h).view({n, kKvHeads, kDim});
    }
    x = x + linear("self_attn.o_proj", Attend(q, k, v));
    h = RmsNorm(x, Weight(t, p + "post_attention_layernorm"));
    h = at::silu(linear("mlp.gate_proj", h)) * linear("mlp.up_proj", h);
    x = x + linear("mlp.down_proj", h);
  }
  return at::linear(RmsNorm(x, Weight(t, "model.norm")), Weight(t, "lm_head"));
}

// ---- the executor --------------------------------------------------------------------------

std::vector<int32_t> Ids(int n, int seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(random() % 128));
  return ids;
}

// A text and the (scattered) blocks it has.
struct Text {
  std::vector<int32_t> ids;
  std::vector<int32_t> blocks;
  int32_t done = 0;
};

// Adds the text's next tokens to a batch; logits of all of them are wanted.
void Append(Text& text, int32_t tokens, Batch* batch) {
  for (int32_t i = 0; i < tokens; ++i) {
    batch->logit_rows.push_back(static_cast<int32_t>(batch->token_ids.size()));
    batch->token_ids.push_back(text.ids[text.done + i]);
  }
  batch->sequences.push_back({text.done, tokens, -1, {text.blocks}});
  text.done += tokens;
}

class ExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto recorded = testing::RecordTinyModel();
    ASSERT_THAT(recorded, IsOk());
    recorded_ = std::make_unique<RecordedModel>(*std::move(recorded));
    tensors_ = testing::RandomTensors(recorded_->graph, 3);
    auto checkpoint = testing::WriteCheckpoint(dir_.path(), tensors_);
    ASSERT_THAT(checkpoint, IsOk());
    checkpoint_ = *std::move(checkpoint);
  }

  absl::StatusOr<std::unique_ptr<Executor>> Create(ExecutorOptions options) {
    options.block_size = 4;
    auto executor = Executor::Create(recorded_->graph, checkpoint_, registry_, options);
    if (executor.ok()) {
      const absl::Status status = (*executor)->AllocateCache({64}, 0);
      if (!status.ok()) return status;
    }
    return executor;
  }

  void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double bound = 1e-5) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    const double difference = at::abs(actual.to(at::kDouble) - expected).max().item<double>();
    const double largest = at::abs(expected).max().item<double>();
    EXPECT_LE(difference, bound * largest);
  }

  testing::ScratchDir dir_;
  std::unique_ptr<RecordedModel> recorded_;
  Tensors tensors_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  AttentionRegistry registry_;
};

class EveryAttention : public ExecutorTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(EveryAttention, APromptInOneStepGivesTheReferencesLogits) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({.attention = GetParam()}));
  Text text{Ids(23, 1), {9, 3, 40, 0, 17, 5}};
  Batch batch;
  Append(text, 23, &batch);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
  ExpectClose(logits, Reference(tensors_, text.ids));
}

TEST_P(EveryAttention, ChunksAndDecodeStepsOfUnequalTextsGiveTheSame) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({.attention = GetParam()}));
  Text texts[] = {{Ids(31, 1), {9, 3, 40, 0, 17, 5, 61, 60}},
                  {Ids(12, 2), {33, 1, 2}},
                  {Ids(21, 3), {63, 50, 51, 20, 19, 18}}};
  std::vector<at::Tensor> got[3];
  // Steps take uneven numbers of tokens from each text until all are done.
  for (int step = 0; texts[0].done < 31 || texts[1].done < 12 || texts[2].done < 21; ++step) {
    Batch batch;
    std::vector<std::pair<int, int32_t>> parts;
    for (int i = 0; i < 3; ++i) {
      const int32_t left = static_cast<int32_t>(texts[i].ids.size()) - texts[i].done;
      const int32_t tokens = std::min(left, (step + i) % 3 == 0 ? 9 : 1);
      if (tokens == 0) continue;
      Append(texts[i], tokens, &batch);
      parts.emplace_back(i, tokens);
    }
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
    int64_t row = 0;
    for (const auto& [i, tokens] : parts) {
      got[i].push_back(logits.narrow(0, row, tokens).clone());
      row += tokens;
    }
  }
  for (int i = 0; i < 3; ++i) ExpectClose(at::cat(got[i]), Reference(tensors_, texts[i].ids));
}

INSTANTIATE_TEST_SUITE_P(All, EveryAttention, ::testing::Values("eager", "sdpa", "paged"));

TEST_P(EveryAttention, ALayerReadsTheKeysAndValuesOfAnother) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto shared, testing::RecordTinyModel({.share_kv = true}));
  recorded_->graph = shared.graph;
  for (const int ranks : {1, 2}) {
    KEEL_ASSERT_OK_AND_ASSIGN(auto executor,
                              Create({.attention = GetParam(), .tensor_parallel = ranks}));
    EXPECT_EQ(executor->cache_layout().groups[0].block_bytes,
              2 /* keys, values */ * 4 * kKvHeads * kDim * 4);
    Text text{Ids(11, 1), {9, 3, 40}};
    Batch first, second;
    Append(text, 10, &first);
    Append(text, 1, &second);
    KEEL_ASSERT_OK(executor->Step(first).status());
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(second));
    ExpectClose(logits, Reference(tensors_, text.ids, true).narrow(0, 10, 1));
  }
}

TEST_F(ExecutorTest, OnlyTheWantedRowsGetLogits) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  Text text{Ids(9, 1), {1, 2, 3}};
  Batch batch;
  Append(text, 9, &batch);
  batch.logit_rows = {2, 8};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
  const at::Tensor all = Reference(tensors_, text.ids);
  ExpectClose(logits, at::cat({all.narrow(0, 2, 1), all.narrow(0, 8, 1)}));
}

TEST_F(ExecutorTest, AStepWithoutLogitRowsFillsTheCacheOnly) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  Text text{Ids(9, 1), {1, 2, 3}};
  Batch first, second;
  Append(text, 8, &first);
  first.logit_rows.clear();
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor none, executor->Step(first));
  EXPECT_EQ(none.sizes(), (at::IntArrayRef{0, 128}));
  Append(text, 1, &second);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(second));
  ExpectClose(logits, Reference(tensors_, text.ids).narrow(0, 8, 1));
}

TEST_F(ExecutorTest, EagerAndShadowRunsEqualTheGraphsBitForBit) {
  const LiveModel live{recorded_->model_class, recorded_->model.get()};
  KEEL_ASSERT_OK_AND_ASSIGN(auto graph, Create({}));
  KEEL_ASSERT_OK_AND_ASSIGN(auto eager, Create({.mode = ExecMode::kEager, .live = live}));
  KEEL_ASSERT_OK_AND_ASSIGN(auto shadow, Create({.mode = ExecMode::kShadow, .live = live}));
  Text text{Ids(13, 1), {1, 2, 3, 9}};
  Batch batch;
  Append(text, 13, &batch);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor expected, graph->Step(batch));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor from_eager, eager->Step(batch));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor from_shadow, shadow->Step(batch));
  EXPECT_TRUE(at::equal(expected, from_eager));
  EXPECT_TRUE(at::equal(expected, from_shadow));
}

TEST_F(ExecutorTest, TheGraphServesOnAfterThePluginsModelIsGone) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  recorded_->model.reset();
  Text text{Ids(5, 1), {1, 2}};
  Batch batch;
  Append(text, 5, &batch);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
  ExpectClose(logits, Reference(tensors_, text.ids));
}

TEST_F(ExecutorTest, TwoRanksGiveWhatOneGives) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({.tensor_parallel = 2}));
  Text text{Ids(14, 1), {1, 2, 3, 9}};
  Batch first, second;
  Append(text, 10, &first);
  Append(text, 4, &second);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor a, executor->Step(first));
  const at::Tensor head = a.clone();
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor tail, executor->Step(second));
  ExpectClose(at::cat({head, tail}), Reference(tensors_, text.ids));
}

TEST_F(ExecutorTest, ShadowNamesTheFirstNodeThatAMutatedGraphHasOtherwise) {
  const LiveModel live{recorded_->model_class, recorded_->model.get()};
  const auto step = [&](const proto::Graph& graph) {
    auto executor = Executor::Create(graph, checkpoint_, registry_,
                                     {.mode = ExecMode::kShadow, .block_size = 4, .live = live});
    if (!executor.ok()) return executor.status();
    if (absl::Status status = (*executor)->AllocateCache({8}, 0); !status.ok()) return status;
    Text text{Ids(5, 1), {1, 2}};
    Batch batch;
    Append(text, 5, &batch);
    return (*executor)->Step(batch).status();
  };
  KEEL_EXPECT_OK(step(recorded_->graph));

  const auto find = [](proto::Graph& graph, proto::Op op) {
    for (proto::Node& node : *graph.mutable_functions(0)->mutable_nodes()) {
      if (node.op() == op) return &node;
    }
    return static_cast<proto::Node*>(nullptr);
  };
  proto::Graph swapped = recorded_->graph;
  proto::Node* add = find(swapped, proto::OP_ACT_MUL);
  add->mutable_inputs()->SwapElements(0, 1);
  EXPECT_THAT(step(swapped), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      AllOf(HasSubstr("act_mul"), HasSubstr("operands"))));

  proto::Graph relabelled = recorded_->graph;
  find(relabelled, proto::OP_ACT_MUL)->set_ints(0, KEEL_ACT_RELU);
  EXPECT_THAT(step(relabelled),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("integer attributes")));

  proto::Graph moved = recorded_->graph;
  find(moved, proto::OP_NORM)->set_object(find(moved, proto::OP_NORM)->object() + 6);
  EXPECT_THAT(step(moved), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the op")));
}

// Every node, changed in one way: two operands swapped, an operand taken from elsewhere, an attribute
// changed, another object of the same kind. A graph that still verifies is found out by a shadow run.
std::vector<proto::Graph> SingleChanges(const proto::Graph& graph) {
  std::vector<proto::Graph> out;
  const auto change = [&](int node, auto edit) {
    proto::Graph changed = graph;
    edit(*changed.mutable_functions(0)->mutable_nodes(node));
    const bool differs = changed.SerializeAsString() != graph.SerializeAsString();
    if (differs && VerifyGraph(changed).ok()) out.push_back(std::move(changed));
  };
  const auto& nodes = graph.functions(0).nodes();
  for (int i = 0; i < nodes.size(); ++i) {
    if (nodes[i].inputs_size() >= 2)
      change(i, [](proto::Node& n) { n.mutable_inputs()->SwapElements(0, 1); });
    for (int input = 0; input < nodes[i].inputs_size(); ++input) {
      change(i, [&](proto::Node& n) { n.set_inputs(input, n.inputs(input) - 1); });
      change(i, [&](proto::Node& n) { n.set_inputs(input, 1); });
    }
    for (int k = 0; k < nodes[i].ints_size(); ++k)
      change(i, [&](proto::Node& n) { n.set_ints(k, n.ints(k) + 1); });
    for (const uint32_t other :
         {nodes[i].object() + 1, nodes[i].object() + 5, nodes[i].object() + 10}) {
      if (nodes[i].object() != 0) change(i, [&](proto::Node& n) { n.set_object(other); });
    }
  }
  return out;
}

TEST_F(ExecutorTest, ShadowFindsEverySingleChangeThatTheVerifierLetsPass) {
  const LiveModel live{recorded_->model_class, recorded_->model.get()};
  const std::vector<proto::Graph> changed = SingleChanges(recorded_->graph);
  EXPECT_GT(changed.size(), 30u);
  for (const proto::Graph& graph : changed) {
    auto executor = Executor::Create(graph, checkpoint_, registry_,
                                     {.mode = ExecMode::kShadow, .block_size = 4, .live = live});
    if (!executor.ok()) continue;  // refused
    KEEL_ASSERT_OK((*executor)->AllocateCache({8}, 0));
    Text text{Ids(5, 1), {1, 2}};
    Batch batch;
    Append(text, 5, &batch);
    EXPECT_FALSE((*executor)->Step(batch).ok());
  }
}

TEST_F(ExecutorTest, AGraphWithWhatNobodyRunsIsRefusedBeforeItsWeightsAreRead) {
  proto::Declaration* kernel = recorded_->graph.add_declarations();
  kernel->set_name("mlp");
  kernel->mutable_kernel()->set_kernel("org.example.absent");
  tensors_.clear();
  KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), tensors_));
  EXPECT_THAT(Create({}), StatusIs(absl::StatusCode::kNotFound,
                                   HasSubstr("mlp: no kernel \"org.example.absent\"")));
}

TEST_F(ExecutorTest, AMutatedGraphGivesOtherLogits) {
  proto::Graph graph = recorded_->graph;
  for (proto::Node& node : *graph.mutable_functions(0)->mutable_nodes()) {
    if (node.op() == proto::OP_ACT_MUL) node.set_ints(0, KEEL_ACT_RELU);
  }
  recorded_->graph = graph;
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  Text text{Ids(5, 1), {1, 2}};
  Batch batch;
  Append(text, 5, &batch);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
  const at::Tensor expected = Reference(tensors_, text.ids);
  EXPECT_GT(at::abs(logits.to(at::kDouble) - expected).max().item<double>(), 1e-2);
}

TEST_F(ExecutorTest, ACopiedBlockIsAsGoodAsTheFirst) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  Text text{Ids(7, 1), {1, 2}};
  Batch first, second;
  Append(text, 6, &first);
  KEEL_ASSERT_OK(executor->Step(first).status());
  KEEL_ASSERT_OK(executor->Do({.blocks = {{0, 2, 30}}, .states = {}}));
  text.blocks = {1, 30};
  Append(text, 1, &second);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(second));
  ExpectClose(logits, Reference(tensors_, text.ids).narrow(0, 6, 1));
  EXPECT_THAT(executor->Do({.blocks = {{0, 0, 64}}, .states = {}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ExecutorTest, ACacheBlockHoldsAllLayersAndIsTheSameForTwoRanks) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto one, Create({}));
  KEEL_ASSERT_OK_AND_ASSIGN(auto two, Create({.tensor_parallel = 2}));
  const int64_t expected = 2 /* layers */ * 2 /* keys, values */ * 4 * kKvHeads * kDim * 4;
  EXPECT_EQ(one->cache_layout().groups[0].block_bytes, expected);
  EXPECT_EQ(two->cache_layout().groups[0].block_bytes, expected);
}

TEST_F(ExecutorTest, BatchesThatDontHoldTogetherAreRefused) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  const auto expect = [&](const Batch& batch, const char* message) {
    EXPECT_THAT(executor->Step(batch),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  expect({}, "no sequences");
  expect({{1, 2}, {{0, 1, -1, {{0}}}}, {0}}, "2 token ids, its sequences have 1");
  expect({{128}, {{0, 1, -1, {{0}}}}, {0}}, "token id 128");
  expect({{-1}, {{0, 1, -1, {{0}}}}, {0}}, "token id -1");
  expect({{1}, {{4, 1, -1, {{0}}}}, {0}}, "blocks hold 4 tokens, it has 5");
  expect({{1}, {{0, 1, -1, {{64}}}}, {0}}, "block 64 of a cache of 64");
  expect({{1}, {{0, 1, -1, {{0}}}}, {1}}, "logit row 1");
  expect({{1, 2}, {{0, 2, -1, {{0}}}}, {1, 0}}, "logit row 0 after 1");
  expect({{1}, {{-1, 1, -1, {{0}}}}, {0}}, "after -1 computed");
}

TEST_F(ExecutorTest, AStepBeforeTheCacheIsRefused) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor,
                            Executor::Create(recorded_->graph, checkpoint_, registry_, {}));
  EXPECT_THAT(executor->Step({{1}, {{0, 1, -1, {{0}}}}, {0}}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ExecutorTest, AnUnknownAttentionIsRefusedWithTheNamesThereAre) {
  EXPECT_THAT(Create({.attention = "flash"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("\"flash\""), HasSubstr("eager, paged, sdpa"))));
}

TEST_F(ExecutorTest, TheReportSaysWhichAttentionRunsAndWhy) {
  KEEL_ASSERT_OK_AND_ASSIGN(auto chosen, Create({}));
  EXPECT_THAT(chosen->report().attention,
              ElementsAre(AttentionInUse{"paged", "the host's choice"}));
  EXPECT_THAT(chosen->report().warnings, IsEmpty());
  KEEL_ASSERT_OK_AND_ASSIGN(auto flag, Create({.attention = "sdpa"}));
  EXPECT_THAT(flag->report().attention,
              ElementsAre(AttentionInUse{"sdpa", "--attention-implementation"}));
  KEEL_ASSERT_OK_AND_ASSIGN(auto config, Create({.config_attention = "ring"}));
  EXPECT_EQ(config->report().attention[0].name, "paged");
  EXPECT_THAT(config->report().warnings, ElementsAre(HasSubstr("\"ring\"")));
}

TEST_F(ExecutorTest, QuantizedWeightsHaveNoInvariantKernel) {
  EXPECT_THAT(Create({.deterministic = true, .quantization = Quantization::kInt8}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--quantize"), HasSubstr("--deterministic"))));
}

TEST_F(ExecutorTest, AnAttentionIsRefusedBeforeWeightsAreRead) {
  KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), {}));
  EXPECT_THAT(Create({.attention = "flash"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("flash")));
}

keel_status RefuseForward(const void*, keel_run*, const keel_forward_inputs*, keel_tensor*) {
  return static_cast<keel_status>(absl::StatusCode::kFailedPrecondition);
}

TEST_F(ExecutorTest, AnEagerRunCallsThePluginByTheWayThatKnowsItsMessages) {
  keel_model_class refusing = *recorded_->model_class;
  refusing.forward = RefuseForward;
  const PluginCall call = [](absl::string_view what, absl::FunctionRef<keel_status()> f) {
    return absl::Status(static_cast<absl::StatusCode>(f()),
                        absl::StrCat(what, ": what the plugin set"));
  };
  Text text{Ids(5, 1), {1, 2}};
  Batch batch;
  Append(text, 5, &batch);
  for (const ExecMode mode : {ExecMode::kEager, ExecMode::kShadow}) {
    KEEL_ASSERT_OK_AND_ASSIGN(
        auto executor, Create({.mode = mode, .live = {&refusing, recorded_->model.get(), call}}));
    EXPECT_THAT(executor->Step(batch), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                HasSubstr("forward: what the plugin set")));
  }
}

TEST_F(ExecutorTest, MissingTensorsAreListed) {
  tensors_.erase("model.layers.1.mlp.up_proj.weight");
  tensors_.erase("model.norm.weight");
  KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), tensors_));
  EXPECT_THAT(Create({}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("2 of the tensors"), HasSubstr("model.norm.weight"),
                             HasSubstr("model.layers.1.mlp.up_proj.weight"))));
}

TEST_F(ExecutorTest, ATensorOfAnotherShapeIsNamedWithBothShapes) {
  tensors_["model.norm.weight"] = at::ones({63});
  KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), tensors_));
  EXPECT_THAT(Create({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                   AllOf(HasSubstr("model.norm.weight"), HasSubstr("[63]"),
                                         HasSubstr("expected [64]"))));
}

TEST_F(ExecutorTest, ACheckpointOfTheBaseModelAloneLoadsToo) {
  Tensors bare;
  for (const auto& [name, tensor] : tensors_) {
    bare[name.rfind("model.", 0) == 0 ? name.substr(6) : name] = tensor;
  }
  KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), bare));
  KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({}));
  Text text{Ids(5, 1), {1, 2}};
  Batch batch;
  Append(text, 5, &batch);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(batch));
  ExpectClose(logits, Reference(tensors_, text.ids));
}

TEST_F(ExecutorTest, SixteenBitModelsStayNearTheReference) {
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    for (const char* attention : {"eager", "sdpa", "paged"}) {
      KEEL_ASSERT_OK_AND_ASSIGN(auto executor, Create({.dtype = dtype, .attention = attention}));
      Text text{Ids(20, 1), {1, 2, 7, 5, 6}};
      Batch first, second;
      Append(text, 19, &first);
      Append(text, 1, &second);
      KEEL_ASSERT_OK(executor->Step(first).status());
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor->Step(second));
      ExpectClose(logits, Reference(tensors_, text.ids).narrow(0, 19, 1),
                  dtype == DType::kBF16 ? 5e-2 : 1e-2);
    }
  }
}

}  // namespace
}  // namespace keel
