// A model whose plugin brings its attention: the class is found without a flag, whoever asks for it,
// and what it says in refusing reaches the user. Argument: the plugin's library.
#include <filesystem>
#include <string>

#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string g_library;

// Of a checkpoint without weights: a model whose attention is accepted comes to look for them.
absl::Status Load(bool by_spec, bool refuses, const std::string& flag = "") {
  testing::ScratchDir dir;
  dir.Write("config.json",
            std::string(R"({"architectures": ["OwnAttentionForCausalLM"], "hidden_size": 8,)") +
                R"("vocab_size": 16, "by_spec": )" + (by_spec ? "1" : "0") + R"(, "refuses": )" +
                (refuses ? "1" : "0") + "}");
  dir.Write("model.safetensors", testing::SafetensorsBytes({{"unread", DType::kF32, {1}}}));
  EngineOptions options;
  options.model.name = dir.path();
  options.model.plugin_paths = {std::filesystem::absolute(g_library)};
  options.executor.attention = flag;
  return LoadModel(options).status();
}

auto LooksForWeights() {
  return StatusIs(absl::StatusCode::kNotFound, HasSubstr("embed_tokens.weight"));
}

TEST(OwnAttentionTest, IsFoundInTheModelsOwnPluginWhetherTheDeclarationOrTheSpecNamesIt) {
  EXPECT_THAT(Load(/*by_spec=*/false, /*refuses=*/false), LooksForWeights());
  EXPECT_THAT(Load(/*by_spec=*/true, /*refuses=*/false), LooksForWeights());
}

TEST(OwnAttentionTest, WhatItSetsAsErrorReachesTheUser) {
  for (const bool by_spec : {false, true}) {
    EXPECT_THAT(
        Load(by_spec, /*refuses=*/true),
        StatusIs(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr("org.keel.test.own"), HasSubstr("refused, as config.json says"))));
  }
}

TEST(OwnAttentionTest, TheFlagComesBeforeTheSpecAndAfterTheDeclaration) {
  EXPECT_THAT(Load(/*by_spec=*/true, /*refuses=*/true, "paged"), LooksForWeights());
  EXPECT_THAT(Load(/*by_spec=*/false, /*refuses=*/true, "paged"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("the model declares it")));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) keel::g_library = argv[1];
  return RUN_ALL_TESTS();
}
