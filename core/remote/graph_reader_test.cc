// Graph files as a host takes them: read in a child.
#include <string>

#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/graph/graph_file.h"
#include "core/graph/testing.h"
#include "core/remote/jailed_plugin.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEL_HAS_SANITIZER 1
#endif

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

class GraphReaderTest : public ::testing::Test {
 protected:
  absl::StatusOr<proto::Graph> Read(const std::string& bytes, const JailOptions& options = {}) {
    PluginRef ref;
    ref.path = dir_.Write("tiny.graph", bytes);
    ref.name = "tiny.graph";
    ref.origin = PluginOrigin::kCheckpoint;
    ref.kind = PluginKind::kGraph;
    KEEL_ASSIGN_OR_RETURN(const JailedImage image,
                          PluginTrust().SealGraph(ref, kMaxGraphFileBytes));
    return ReadGraphInJail(image, options);
  }

  testing::ScratchDir dir_;
};

TEST_F(GraphReaderTest, GivesTheGraphOfTheFile) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, testing::RecordTinyModel());
  const std::string bytes = SerializeGraphFile(model.graph);
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::Graph graph, Read(bytes));
  EXPECT_EQ(SerializeGraphFile(graph), bytes);
}

TEST_F(GraphReaderTest, SaysWhatIsWrongWithIt) {
  KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel model, testing::RecordTinyModel());
  EXPECT_THAT(Read("\x12\x7fshort"), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("graph file tiny.graph: is damaged")));
  model.graph.set_opset(99);
  EXPECT_THAT(Read(SerializeGraphFile(model.graph)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("graph file tiny.graph: graph: opset is 99")));
}

TEST_F(GraphReaderTest, WhatEndsTheReaderIsTheChildsEnd) {
#ifdef KEEL_HAS_SANITIZER
  GTEST_SKIP() << "the sanitizer needs the address space";
#endif
  KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel model, testing::RecordTinyModel());
  model.graph.set_plugin(std::string(100 << 20, 'a'));
  JailOptions options;
  options.limits.memory_bytes = int64_t{192} << 20;
  EXPECT_THAT(Read(SerializeGraphFile(model.graph), options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("graph file tiny.graph: in its jail, it ")));
}

}  // namespace
}  // namespace keel
