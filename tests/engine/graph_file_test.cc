// Graph files beside a checkpoint or in --graph-dir: every family's recorded graph, as such a file, is
// served as its plugin serves it, whole, in chunks, by ranks and stages; and what is wrong with a file
// is said.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/keel/plugin_files.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

using ::testing::AllOf;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr char kGraph[] = "keel-graph.pb";

std::vector<std::string> Families() {
  std::vector<std::string> families;
  for (const auto& folder : fs::directory_iterator("plugins")) {
    if (fs::exists(folder.path() / "testdata/default/model.safetensors"))
      families.push_back(folder.path().filename().string());
  }
  return families;
}

Result<Options> OptionsOf(const Flags& flags) {
  Options options;
  for (const auto& [name, value] : flags) {
    if (Status status = options.Set(name, value); !status.ok()) return status;
  }
  return options;
}

// The message of a model that is not to load.
std::string Refusal(const Flags& flags) {
  const Result<Options> options = OptionsOf(flags);
  if (!options.ok()) return std::string(options.status().message());
  return std::string(Engine::Create(*options).status().message());
}

std::string Info(const Engine& engine, const char* field) {
  return std::string(json::parse(engine.info()).as_object().at(field).as_string());
}

// Tokens of some requests, one alone and then several beside each other.
std::vector<std::vector<int32_t>> Texts(Engine& engine) {
  std::vector<std::vector<int32_t>> out;
  Client client(engine);
  out.push_back(Ask(engine, Asked(Prompt(9, 30, 100), 8))[0].tokens);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(client.Start(i, Asked(Prompt(i, 5 + 20 * i, 100), 8)).ok());
  for (const auto& [key, answer] : client.Wait()) out.push_back(answer[0].tokens);
  return out;
}

// The vectors of some requests, one after the other. None is longer than the smallest step here, in
// which an encoder takes all of a prompt.
std::vector<float> Vectors(Engine& engine, const std::string& task) {
  Client client(engine);
  for (int i = 0; i < 3; ++i) {
    Request request;
    EXPECT_TRUE(request.SetPromptTokens(Prompt(i, 3 + 5 * i, 100)).ok());
    EXPECT_TRUE(request.SetString("task", task).ok());
    EXPECT_TRUE(client.Start(i, request).ok());
  }
  std::vector<float> out;
  for (const auto& [key, answer] : client.Wait()) {
    const std::vector<float>& vector = answer[0].vector;
    EXPECT_FALSE(vector.empty());
    out.insert(out.end(), vector.begin(), vector.end());
  }
  return out;
}

// A copy of a family's tiny checkpoint with the graph that its plugin records, as a file beside it.
class GraphFileTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { Prepare(GetParam()); }

  void Prepare(const std::string& family) {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    dir_ = fs::path(::testing::TempDir()) / name;
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    Copy("plugins/" + family + "/testdata/default");
    Copy(kTinyLlama);  // the tokenizer, where it has none
    const Result<Options> options = OptionsOf({{"model", dir_.string()}});
    ASSERT_TRUE(options.ok());
    const Result<std::string> answer = ExportGraph(*options, Path(kGraph));
    ASSERT_TRUE(answer.ok()) << answer.status().message();
  }

  void Copy(const fs::path& from) {
    for (const auto& file : fs::directory_iterator(from)) {
      const fs::path to = dir_ / file.path().filename();
      if (fs::exists(to)) continue;
      fs::copy_file(fs::canonical(file.path()), to);
      fs::permissions(to, fs::perms(0644));
    }
  }

  std::string Path(const std::string& name) const { return (dir_ / name).string(); }

  Flags Native(Flags flags = {}) const {
    flags["model"] = dir_.string();
    flags["model-impl"] = "native";
    return flags;
  }
  Flags Graph(Flags flags = {}) const {
    flags["model"] = dir_.string();
    flags["model-impl"] = "transformers";
    return flags;
  }

  void ExpectServedAlike(const Flags& more) {
    const std::unique_ptr<Engine> native = StartEngine(Native(more)),
                                  graph = StartEngine(Graph(more));
    ASSERT_TRUE(native != nullptr && graph != nullptr);
    if (const std::string task = Info(*native, "task"); task == "generate") {
      EXPECT_EQ(Texts(*graph), Texts(*native));
    } else {
      EXPECT_THAT(Vectors(*graph, task), Pointwise(FloatNear(1e-5f), Vectors(*native, task)));
    }
    EXPECT_THAT(std::string(graph->info()), HasSubstr("(keel-graph.pb, the checkpoint, data)"));
  }

  fs::path dir_;
};

TEST_P(GraphFileTest, ServesWhatThePluginServes) { ExpectServedAlike({}); }

TEST_P(GraphFileTest, InSmallStepsByRanksAndStages) {
  const Flags few = {{"max-num-batched-tokens", "13"}};
  int served = 0;
  for (const char* flag : {"tensor-parallel-size", "pipeline-parallel-size"}) {
    Flags flags = few;
    flags[flag] = "2";
    // Tiny sizes; what the plugin's model refuses, its graph does.
    if (const std::string refused = Refusal(Native(flags)); !refused.empty()) {
      EXPECT_EQ(Refusal(Graph(flags)), refused);
      continue;
    }
    ExpectServedAlike(flags);
    ++served;
  }
  EXPECT_GE(served, 1);
}

INSTANTIATE_TEST_SUITE_P(Families, GraphFileTest, ::testing::ValuesIn(Families()),
                         [](const auto& info) { return info.param; });

class LlamaGraphTest : public GraphFileTest {
 protected:
  void SetUp() override { Prepare("llama"); }
};

TEST_F(LlamaGraphTest, RunsInTheTypeOfTheWeightsAndReusesPrefixes) {
  ExpectServedAlike({{"dtype", "bfloat16"}});
  const std::unique_ptr<Engine> engine = StartEngine(Graph());
  const Asked request(Prompt(1, 50), 8);
  const Answer first = Ask(*engine, request), second = Ask(*engine, request);
  EXPECT_EQ(second[0].tokens, first[0].tokens);
  EXPECT_GE(second.cached, 32u);
}

TEST_F(LlamaGraphTest, SaysWhichImplementationRunsAndWhy) {
  const std::unique_ptr<Engine> unasked = StartEngine({{"model", dir_.string()}});
  EXPECT_EQ(Info(*unasked, "model_impl"), "native");  // a family comes before a graph
  const std::unique_ptr<Engine> engine = StartEngine(Graph());
  EXPECT_EQ(Info(*engine, "model_impl"), "graph");
  EXPECT_EQ(Info(*engine, "model_impl_source"), "a graph file");
  EXPECT_EQ(Info(*engine, "model_impl_reason"),
            "transformers: a graph file serves LlamaForCausalLM by keel-graph.pb; before it, "
            "--plugin-path left out by --model-impl transformers, in-tree left out by --model-impl "
            "transformers");
  EXPECT_EQ(Info(*engine, "plugin"), "org.keel.llama 0.1.0 (keel-graph.pb, the checkpoint, data)");
  EXPECT_EQ(Metric(*engine, "keel:model_info", "impl=\"graph\""), 1);
}

TEST_F(LlamaGraphTest, ADirectoryOfTheOperatorsHasGraphsByTheConfigsSha256) {
  const Result<std::string> inspected = InspectPlugin(Path(kGraph));
  ASSERT_TRUE(inspected.ok()) << inspected.status().message();
  const std::string sha256(json::parse(*inspected)
                               .as_object()
                               .at("provenance")
                               .as_object()
                               .at("config_sha256")
                               .as_string());
  const fs::path graphs = dir_ / "graphs";
  fs::create_directories(graphs);
  fs::rename(Path(kGraph), graphs / kGraph);
  EXPECT_THAT(Refusal(Graph()), HasSubstr("there is no graph of the Python class"));
  const Flags flags = Graph({{"graph-dir", graphs.string()}});
  EXPECT_THAT(std::string(StartEngine(flags)->info()),
              HasSubstr("(keel-graph.pb, --graph-dir, data)"));
  fs::rename(graphs / kGraph, graphs / (sha256 + ".pb"));
  EXPECT_THAT(std::string(StartEngine(flags)->info()), HasSubstr(".pb, --graph-dir, data)"));
  EXPECT_THAT(Refusal(Graph({{"graph-dir", Path("none")}})), HasSubstr("--graph-dir"));
}

TEST_F(LlamaGraphTest, WithoutOneTheErrorIsTheCommandThatMakesIt) {
  fs::remove(Path(kGraph));
  EXPECT_THAT(Refusal(Graph()), AllOf(HasSubstr("--model-impl is transformers"),
                                      HasSubstr("keel export-transformers " + dir_.string())));
}

TEST_F(LlamaGraphTest, OneOfAnotherConfigIsRefusedWithTheCommandThatMakesItAnew) {
  std::ofstream(Path("config.json"), std::ios::app) << "\n";
  EXPECT_THAT(Refusal(Graph()),
              AllOf(HasSubstr("graph file keel-graph.pb: was made for a config.json with sha256"),
                    HasSubstr("keel export-transformers " + dir_.string())));
}

TEST_F(LlamaGraphTest, DamageIsRefusedByName) {
  fs::resize_file(Path(kGraph), fs::file_size(Path(kGraph)) - 3);
  EXPECT_THAT(Refusal(Graph()), HasSubstr("graph file keel-graph.pb: is damaged"));
  std::ofstream(Path(kGraph)).flush();
  EXPECT_THAT(Refusal(Graph()), HasSubstr("graph file keel-graph.pb: is empty"));
}

TEST_F(LlamaGraphTest, ItHasNoCodeToRunOpByOp) {
  EXPECT_THAT(Refusal(Graph({{"exec", "eager"}})),
              HasSubstr("--exec=eager runs a plugin's code op by op"));
}

}  // namespace
}  // namespace keel
