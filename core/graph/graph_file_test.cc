#include "core/graph/graph_file.h"

#include <google/protobuf/unknown_field_set.h>

#include <string>

#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

proto::Graph Tiny() {
  absl::StatusOr<RecordedModel> model = testing::RecordTinyModel();
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? model->graph : proto::Graph();
}

absl::Status Parse(const proto::Graph& graph) {
  return ParseGraphFile(SerializeGraphFile(graph)).status();
}

// Field `number` of length `n`, all zeros.
std::string Field(int number, int n) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + std::string(1, static_cast<char>(n)) +
         std::string(n, '\0');
}

TEST(GraphFileTest, GivesBackTheGraphWithWhereItComesFrom) {
  proto::Graph graph = Tiny();
  graph.mutable_provenance()->set_config_sha256(std::string(64, 'a'));
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::Graph read, ParseGraphFile(SerializeGraphFile(graph)));
  EXPECT_EQ(read.provenance().config_sha256(), std::string(64, 'a'));
  EXPECT_EQ(SerializeGraphFile(read), SerializeGraphFile(graph));
}

TEST(GraphFileTest, RefusesFieldsThatItDoesNotKnowAtAnyDepth) {
  const std::string bytes = SerializeGraphFile(Tiny());
  EXPECT_THAT(ParseGraphFile(bytes + Field(15, 3)),
              StatusIs(kInvalid, HasSubstr("field 15 of Graph is unknown to this host")));
  proto::Graph graph = Tiny();
  auto* node = graph.mutable_functions(0)->mutable_nodes(1);
  node->GetReflection()->MutableUnknownFields(node)->AddVarint(14, 1);
  EXPECT_THAT(Parse(graph), StatusIs(kInvalid, HasSubstr("field 14 of Node is unknown")));
  // A known number with another type: opset, a number, as bytes.
  EXPECT_THAT(ParseGraphFile(bytes + Field(1, 3)),
              StatusIs(kInvalid, HasSubstr("a field of Graph has a type")));
}

TEST(GraphFileTest, RefusesWhatIsNoGraph) {
  EXPECT_THAT(ParseGraphFile(""), StatusIs(kInvalid, HasSubstr("opset is 0")));
  EXPECT_THAT(ParseGraphFile("\x7f"
                             "ELF etc."),
              StatusIs(kInvalid));
  const std::string bytes = SerializeGraphFile(Tiny());
  EXPECT_THAT(ParseGraphFile(bytes.substr(0, bytes.size() / 2)), StatusIs(kInvalid));
}

TEST(GraphFileTest, CountsBeforeItAllocates) {
  // 16 MiB of empty declarations: a gigabyte if they were made.
  std::string bomb;
  for (int i = 0; i < 8 << 20; ++i) bomb.append("\x22\0", 2);
  EXPECT_THAT(ParseGraphFile(bomb), StatusIs(kInvalid, HasSubstr("has too many parts")));
}

TEST(GraphFileTest, RefusesASpecThatNoBuilderGives) {
  proto::Graph graph = Tiny();
  graph.mutable_spec()->set_vocab_size(int64_t{1} << 62);
  EXPECT_THAT(Parse(graph), StatusIs(kInvalid, HasSubstr("vocab_size of its spec is 46116860184")));
  graph = Tiny();
  graph.mutable_spec()->set_embed_scale(__builtin_nan(""));
  EXPECT_THAT(Parse(graph), StatusIs(kInvalid, HasSubstr("no finite number")));
  graph = Tiny();
  graph.mutable_spec()->add_renames()->add_sizes(int64_t{1} << 62);
  EXPECT_THAT(Parse(graph), StatusIs(kInvalid, HasSubstr("a rename of its spec has the size")));
}

}  // namespace
}  // namespace keel
