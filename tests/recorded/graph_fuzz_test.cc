// Arguments: directories with goldens, or testdata of families. Damaged graph files must be refused or taken, never crash
// the parser, the verifier, the sharder or what cuts stages. Seeded: a failure comes again.
#include <google/protobuf/message.h>
#include <google/protobuf/reflection.h>

#include <cstdio>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/stages.h"
#include "core/graph/verifier.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kRounds = 200;  // a golden and kind of damage

std::vector<std::string> g_dirs;  // of the command line

// What a host does with a file from outside.
void Take(const proto::Graph& graph) {
  if (!VerifyGraph(graph).ok()) return;
  (void)ShardGraph(graph, {.ranks = 2, .experts_apart = true});
  if (!CheckPpPlan(graph).ok()) return;
  const auto stages = CutStages(graph, 2);
  if (!stages.ok()) return;
  for (const proto::Graph& stage : *stages) (void)ShardGraph(stage, {.ranks = 4});
}

struct Golden {
  std::string text;
  proto::Graph graph;
};

class GraphFuzzTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& dir : g_dirs) {
      const std::string path = JoinPath(dir, "graph.textproto");
      KEEL_ASSERT_OK_AND_ASSIGN(std::string text, ReadFile(path));
      KEEL_ASSERT_OK_AND_ASSIGN(proto::Graph graph, ParseGraphText(text, path));
      goldens_.push_back({std::move(text), std::move(graph)});
    }
  }
  std::vector<Golden> goldens_;
  std::mt19937 random_{20260101};
};

TEST_F(GraphFuzzTest, DamagedText) {
  for (const Golden& golden : goldens_) {
    for (int round = 0; round < kRounds; ++round) {
      const auto graph = ParseGraphText(testing::Mutate(golden.text, random_), "fuzz");
      if (graph.ok()) Take(*graph);
    }
  }
}

TEST_F(GraphFuzzTest, DamagedBytes) {
  for (const Golden& golden : goldens_) {
    const std::string bytes = golden.graph.SerializeAsString();
    for (int round = 0; round < kRounds; ++round) {
      proto::Graph graph;
      if (graph.ParseFromString(testing::Mutate(bytes, random_))) Take(graph);
    }
  }
}

// ---- well-formed files that say something else -----------------------------------------------

int64_t OddNumber(std::mt19937& random) {
  constexpr int64_t kNumbers[] = {0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  -2,
                                  7,
                                  16,
                                  1 << 20,
                                  int64_t{1} << 31,
                                  int64_t{1} << 48,
                                  std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::min()};
  return kNumbers[random() % std::size(kNumbers)];
}

// Puts another value into a field that is set, or into element `index` of a repeated one.
void ChangeValue(Message* message, const FieldDescriptor* field, int index, std::mt19937& random) {
  const Reflection& r = *message->GetReflection();
  const int64_t number = OddNumber(random);
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? r.SetRepeatedInt32(message, field, index, static_cast<int32_t>(number))
                      : r.SetInt32(message, field, static_cast<int32_t>(number));
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? r.SetRepeatedUInt32(message, field, index, static_cast<uint32_t>(number))
                      : r.SetUInt32(message, field, static_cast<uint32_t>(number));
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? r.SetRepeatedInt64(message, field, index, number)
                      : r.SetInt64(message, field, number);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double value = random() % 4 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                             : static_cast<double>(number);
      return repeated ? r.SetRepeatedDouble(message, field, index, value)
                      : r.SetDouble(message, field, value);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(message, field, !r.GetBool(*message, field));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value = static_cast<int>(random() % 40);
      return repeated ? r.SetRepeatedEnumValue(message, field, index, value)
                      : r.SetEnumValue(message, field, value);
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string value = random() % 2 == 0 ? "" : "segments";
      return repeated ? r.SetRepeatedString(message, field, index, value)
                      : r.SetString(message, field, value);
    }
    default:
      return;
  }
}

// One change somewhere below `message`.
void Change(Message* message, std::mt19937& random) {
  const Reflection& r = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(*message, &fields);
  if (fields.empty()) return;
  const FieldDescriptor* field = fields[random() % fields.size()];
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!field->is_repeated()) {
    if (random() % 8 == 0) return r.ClearField(message, field);
    return is_message ? Change(r.MutableMessage(message, field), random)
                      : ChangeValue(message, field, 0, random);
  }
  const int size = r.FieldSize(*message, field), index = static_cast<int>(random() % size);
  switch (random() % 8) {
    case 0:
      return r.RemoveLast(message, field);
    case 1:
      return r.SwapElements(message, field, index, static_cast<int>(random() % size));
    case 2:
      if (is_message) {
        r.AddMessage(message, field)->CopyFrom(r.GetRepeatedMessage(*message, field, index));
        return;
      }
      [[fallthrough]];
    default:
      return is_message ? Change(r.MutableRepeatedMessage(message, field, index), random)
                        : ChangeValue(message, field, index, random);
  }
}

TEST_F(GraphFuzzTest, ChangedFields) {
  for (const Golden& golden : goldens_) {
    for (int round = 0; round < 5 * kRounds; ++round) {
      proto::Graph graph = golden.graph;
      for (uint32_t i = 0, n = 1 + random_() % 3; i < n; ++i) Change(&graph, random_);
      Take(graph);
    }
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::vector<std::string> dirs = keel::RecordedDirectories(argv[i]);
    keel::g_dirs.insert(keel::g_dirs.end(), dirs.begin(), dirs.end());
  }
  if (keel::g_dirs.empty()) {
    std::fprintf(stderr, "usage: %s directory ...\n", argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
