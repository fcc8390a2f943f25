// The table of rename rules in docs/plugin-authoring.md says what the host does.
#include <ATen/ops/empty.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/weights/renames.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using Rename = proto::ModelSpec::Rename;
using Shapes = std::map<std::string, std::string>;  // name -> "[2, 3]"

struct Row {
  Rename rule;
  Shapes in_file, declared;
};

// What stands between backquotes.
std::vector<std::string> Quoted(absl::string_view cell) {
  std::vector<std::string> out;
  const std::vector<absl::string_view> parts = absl::StrSplit(cell, '`');
  for (size_t i = 1; i < parts.size(); i += 2) out.emplace_back(parts[i]);
  return out;
}

std::vector<int64_t> Numbers(absl::string_view text) {
  std::vector<int64_t> out;
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar("[], "), absl::SkipEmpty())) {
    out.emplace_back();
    EXPECT_TRUE(absl::SimpleAtoi(word, &out.back())) << word;
  }
  return out;
}

// `name` `[shape]` `name` `[shape]` ...
Shapes ShapesIn(absl::string_view cell) {
  Shapes out;
  const std::vector<std::string> quoted = Quoted(cell);
  EXPECT_EQ(quoted.size() % 2, 0u) << cell;
  for (size_t i = 0; i + 1 < quoted.size(); i += 2) out[quoted[i]] = quoted[i + 1];
  return out;
}

Row ParseRow(absl::string_view line) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, '|');
  EXPECT_EQ(cells.size(), 8u) << line;
  Row row;
  Rename::Op op = Rename::RENAME;
  const std::string name = Quoted(cells[1]).front();
  if (name != "KEEL_RENAME_NAME") {
    const std::string op_name(absl::StripPrefix(name, "KEEL_RENAME_"));
    EXPECT_TRUE(Rename::Op_Parse(op_name, &op)) << name;
  }
  row.rule.set_op(op);
  for (const std::string& from : Quoted(cells[2])) row.rule.add_from(from);
  for (const std::string& to : Quoted(cells[3])) row.rule.add_to(to);
  const std::pair<absl::string_view, absl::string_view> arguments =
      absl::StrSplit(absl::StripAsciiWhitespace(cells[4]), absl::MaxSplits("sizes", 1));
  const std::vector<int64_t> dim =
      Numbers(absl::StripPrefix(absl::StripSuffix(arguments.first, ", "), "dim"));
  if (!dim.empty()) row.rule.set_dim(static_cast<int32_t>(dim.front()));
  for (const int64_t size : Numbers(arguments.second)) row.rule.add_sizes(size);
  row.in_file = ShapesIn(cells[5]);
  row.declared = ShapesIn(cells[6]);
  return row;
}

std::vector<Row> Table() {
  const absl::StatusOr<std::string> page = ReadFile("docs/plugin-authoring.md");
  EXPECT_TRUE(page.ok()) << page.status();
  std::vector<Row> rows;
  for (absl::string_view line : absl::StrSplit(page.value_or(""), '\n')) {
    if (absl::StartsWith(line, "| `KEEL_RENAME_")) rows.push_back(ParseRow(line));
  }
  return rows;
}

// Shapes alone count: the tensors have no memory.
at::Tensor TensorOf(const std::string& shape) {
  return at::empty(Numbers(shape), at::TensorOptions().device(at::kMeta));
}

TEST(RenameExamplesTest, EveryRuleHasAnExample) {
  std::vector<int> seen(Rename::Op_ARRAYSIZE);
  for (const Row& row : Table()) ++seen[row.rule.op()];
  EXPECT_THAT(seen, ::testing::Each(1));
}

TEST(RenameExamplesTest, TheHostMakesOfTheFileWhatTheTableSays) {
  for (const Row& row : Table()) {
    SCOPED_TRACE(Rename::Op_Name(row.rule.op()));
    std::vector<std::string> names;
    for (const auto& [name, shape] : row.in_file) names.push_back(name);
    const auto shape_of = [&](const std::string& name) -> absl::StatusOr<std::vector<int64_t>> {
      return Numbers(row.in_file.at(name));
    };
    KEEL_ASSERT_OK_AND_ASSIGN(const auto recipes, PlanTensors(names, {&row.rule}, shape_of));
    Shapes made;
    for (const auto& [name, recipe] : recipes) {
      KEEL_ASSERT_OK_AND_ASSIGN(
          const at::Tensor tensor,
          MakeTensor(recipe, [&](const std::string& source) -> absl::StatusOr<at::Tensor> {
            return TensorOf(row.in_file.at(source));
          }));
      made[name] = absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
    }
    EXPECT_EQ(made, row.declared);
  }
}

}  // namespace
}  // namespace keel
