// Walks the op table. The goldens are testdata/op_samples.txt (what each sample
// records) and docs/ops.md; a failure prints the text that either should hold.
#include "core/graph/op_table.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_samples.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::OpSample;
using ::keel::testing::OpSamples;
using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

std::string EnumName(const OpRow& row) {
  return absl::AsciiStrToLower(absl::StripPrefix(proto::Op_Name(row.op), "OP_"));
}

TEST(OpTableTest, EveryOpOfTheFormatHasARowNamedAsTheOpTableOfTheAbi) {
  for (int op = proto::OP_NONE + 1; op < proto::Op_ARRAYSIZE; ++op) {
    if (!proto::Op_IsValid(op) || op == proto::OP_ALL_REDUCE || op == proto::OP_ALL_GATHER ||
        op == proto::OP_RANK_PART)
      continue;
    const OpRow* row = FindOp(static_cast<proto::Op>(op));
    ASSERT_NE(row, nullptr) << proto::Op_Name(static_cast<proto::Op>(op));
    EXPECT_EQ(row->op, op);
    EXPECT_EQ(row->name, EnumName(*row));
  }
  for (const proto::Op op :
       {proto::OP_NONE, proto::OP_ALL_REDUCE, proto::OP_ALL_GATHER, proto::OP_RANK_PART})
    EXPECT_EQ(FindOp(op), nullptr) << "no graph from outside may hold it";
}

// The order of keel_ops is its binary interface, that of proto::Op the file format: they agree.
TEST(OpTableTest, RowsAreInTheOrderOfTheFormatAndEachHasAnEntryOfItsOwn) {
  std::set<size_t> entries;
  int last = proto::OP_NONE;
  for (const OpRow& row : OpTable()) {
    EXPECT_GT(row.op, last);
    last = row.op;
    EXPECT_TRUE(entries.insert(row.entry).second) << row.name;
  }
}

// A table whose entries a recording fills in: a null one would end the process of whoever calls it.
TEST(OpTableTest, EveryRowHasARecorderEntry) {
  static keel_ops ops;
  KEEL_ASSERT_OK(RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) {
                   ops = *r->ops;
                   return x;
                 }}).status());
  for (const OpRow& row : OpTable()) {
    void* entry = nullptr;
    std::memcpy(&entry, reinterpret_cast<const char*>(&ops) + row.entry, sizeof(entry));
    EXPECT_NE(entry, nullptr) << row.name;
  }
}

std::string DimsText(const proto::Type& type) {
  const absl::StatusOr<TensorType> parsed = FromProto(type);
  return parsed.ok() ? ToString(*parsed) : parsed.status().ToString();
}

// "reduce(7; dim -1, kind 1, keep_dim 1) -> 8 MODEL[N, 1]"
std::string NodeText(const proto::Graph& graph, const proto::Node& node) {
  const OpRow& row = *FindOp(node.op());
  std::string text = absl::StrCat(NodeName(graph, node), "(", absl::StrJoin(node.inputs(), ", "));
  const auto add = [&](absl::string_view name, auto value) {
    absl::StrAppend(&text, text.back() == '(' ? "" : ", ", name, " ", value);
  };
  const int ints = node.ints_size() - node.names_size();
  for (size_t i = 0; i < row.ints.size(); ++i) {
    absl::string_view name = row.ints[i];
    if (absl::ConsumeSuffix(&name, " ...")) {
      add(name, absl::StrJoin(absl::MakeSpan(node.ints()).first(ints), " "));
    } else {
      add(name, node.ints(static_cast<int>(i)));
    }
  }
  if (node.names().empty()) {
    for (int i = 0; i < node.reals_size(); ++i) add(row.reals[i], node.reals(i));
  }
  const op::Arguments args(node);
  for (int i = 0; i < args.size(); ++i)
    add(args.name(i), args.operand(i).has_value() ? *args.operand(i) : args.number(i));
  absl::StrAppend(&text, ")");
  for (int i = 0; i < node.outputs_size(); ++i)
    absl::StrAppend(&text, i == 0 ? " -> " : ", ", node.outputs(i), " ", DimsText(node.types(i)));
  return text;
}

// The nodes of the first layer that the model without the sample does not have.
std::string SampleText(const OpSample& sample, const proto::Graph& graph, int base_layer_nodes) {
  std::string text = absl::StrCat("# ", sample.name, "\n");
  const proto::Function& forward = graph.functions(0);
  const int whole = strcmp(sample.name, "the model") == 0;
  const int end = (forward.nodes_size() - 1) / 2;  // of the first of two layers
  const int begin = whole ? 0 : base_layer_nodes - 2, stop = whole ? end : end - 2;
  for (int i = begin; i < stop; ++i)
    absl::StrAppend(&text, NodeText(graph, forward.nodes(i)), "\n");
  return text;
}

TEST(OpTableTest, EveryOpIsRecordedAsItsGoldenSays) {
  std::string text;
  std::set<proto::Op> recorded;
  int base = 0;
  for (const OpSample& sample : OpSamples()) {
    KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel(sample.model));
    for (const proto::Node& node : model.graph.functions(0).nodes()) recorded.insert(node.op());
    if (base == 0) base = (model.graph.functions(0).nodes_size() - 1) / 2;
    absl::StrAppend(&text, SampleText(sample, model.graph, base));
  }
  for (const OpRow& row : OpTable()) {
    EXPECT_EQ(recorded.contains(row.op), row.op != proto::OP_CALL) << row.name << " has no sample";
  }
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string golden,
                            ReadFile("core/graph/testdata/op_samples.txt"));
  EXPECT_EQ(golden, text) << "if the change is meant, this is the text:\n" << text;
}

TEST(OpTableTest, TheDocumentListsEveryRow) {
  std::string table = "| op | operands | attributes | rows of a batch |\n|---|---|---|---|\n";
  for (const OpRow& row : OpTable()) {
    std::vector<std::string> attributes(row.ints.begin(), row.ints.end());
    attributes.insert(attributes.end(), row.reals.begin(), row.reals.end());
    if (op::FixedOperands(row.op) >= 0) attributes.push_back("named arguments");
    absl::StrAppend(&table, "| `", row.name, "` | ", row.min_operands,
                    row.max_operands == -1 ? " or more" : "", " | ",
                    absl::StrJoin(attributes, ", "), " | ", row.rows, " |\n");
  }
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string page, ReadFile("docs/ops.md"));
  EXPECT_THAT(page, HasSubstr(table)) << "the table should be:\n" << table;
}

// ---- what every rule relies on -----------------------------------------------------------------

absl::Status Infer(const proto::Node& node, std::vector<const TensorType*> inputs) {
  return InferTypes(proto::Graph(), node, inputs).status();
}

TEST(OpTableTest, ANodeWithTooFewOrTooManyAttributesIsRefusedBeforeItsRuleReadsThem) {
  const TensorType x{proto::MODEL, {{1, "N", 1}, {64, "", 1}}};
  for (const OpRow& row : OpTable()) {
    if (row.min_operands != 1 || row.ints.empty() || op::FixedOperands(row.op) >= 0) continue;
    if (absl::StrContains(row.ints.back(), "...")) continue;
    proto::Node node = op::MakeNode(row.op);
    EXPECT_THAT(Infer(node, {&x}), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("has 0 integer attributes, expected ")))
        << row.name;
    for (size_t i = 0; i <= row.ints.size(); ++i) node.add_ints(1);
    EXPECT_THAT(Infer(node, {&x}), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("integer attributes, expected ")))
        << row.name;
  }
}

TEST(OpTableTest, AnOperandTooManyOrMissingIsRefused) {
  const TensorType x{proto::MODEL, {{1, "N", 1}, {64, "", 1}}};
  const proto::Node add = op::MakeNode(proto::OP_ADD);
  EXPECT_THAT(Infer(add, {&x}), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("got 1 operands, expected 2")));
  EXPECT_THAT(Infer(add, {&x, nullptr}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("operand 1 is missing")));
}

TEST(OpTableTest, ARepeatOfASplitSymbolStaysInLowestTerms) {
  const TensorType x{proto::MODEL, {{1, "N", 2}, {128, "", 1}}};
  const std::vector<const TensorType*> inputs = {&x};
  KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<TensorType> twice,
                            InferTypes(proto::Graph(), op::Repeat::Make(0, 2), inputs));
  EXPECT_EQ(ToString(twice[0]), "MODEL[N, 128]");
}

}  // namespace
}  // namespace keel
