#include "core/config/known_keys.h"

#include <utility>
#include <vector>

#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::StrEq;

absl::Status Check(absl::string_view text) {
  return CheckKnownKeys(ParseJson(text, "config.json").value(), "config.json");
}

TEST(KnownKeysTest, RefusesWhatNoModelHasByKey) {
  for (const auto& [config, message] : std::vector<std::pair<const char*, const char*>>{
           {R"({"num_hidden_layers": 40000})",
            "config.json: num_hidden_layers is 40000, expected 1 to 4096"},
           {R"({"num_hidden_layers": 1000000000})",
            "config.json: num_hidden_layers is 1000000000, expected 1 to 4096"},
           {R"({"max_position_embeddings": 0})",
            "config.json: max_position_embeddings is 0, expected 1 to 1073741824"},
           {R"({"max_position_embeddings": -1})",
            "config.json: max_position_embeddings is -1, expected 1 to 1073741824"},
           {R"({"head_dim": 0})", "config.json: head_dim is 0, expected 1 to 65536"},
           {R"({"text_config": {"vocab_size": 0}})",
            "config.json: text_config.vocab_size is 0, expected 1 to 1073741824"},
           {R"({"num_attention_heads": 14, "num_key_value_heads": 4})",
            "config.json: num_attention_heads is 14, which num_key_value_heads (4) does not "
            "divide"},
           {R"({"hidden_size": 4, "num_attention_heads": 8})",
            "config.json: hidden_size is 4, expected at least num_attention_heads (8): without "
            "head_dim it is divided among them"}}) {
    EXPECT_THAT(Check(config), StatusIs(absl::StatusCode::kInvalidArgument, StrEq(message)));
  }
}

TEST(KnownKeysTest, TakesWhatModelsHave) {
  for (const char* config :
       {"{}", R"({"num_key_value_heads": null, "num_attention_heads": 8})",
        R"({"intermediate_size": 0})", R"({"num_key_value_heads": [1, 2, 2]})",
        R"({"hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
            "num_hidden_layers": 24, "max_position_embeddings": 32768})"}) {
    KEEL_EXPECT_OK(Check(config)) << config;
  }
}

}  // namespace
}  // namespace keel
