#include "core/config/config_view.h"

#include <thread>
#include <vector>

#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConfigViewTest : public ::testing::Test {
 protected:
  ConfigViewTest()
      : json_(
            ParseJson(
                R"({"hidden_size": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie": true, "n": null,
                            "layer_types": ["full", "sliding"], "text_config": {"vocab_size": "many"}, "whole": 4096.0})",
                "config.json")
                .value()),
        document_(json_, "config.json") {}

  const boost::json::value json_;
  ConfigDocument document_;
  const keel_config_api& api_ = ConfigApi();
  keel_config* root_ = document_.root();
};

TEST_F(ConfigViewTest, ReadsValuesPathsAndAlternatives) {
  EXPECT_EQ(api_.get_int(root_, "n_embd|hidden_size", 1, 0), 64);
  EXPECT_EQ(api_.get_int(root_, "whole", 1, 0), 4096);
  EXPECT_DOUBLE_EQ(api_.get_real(root_, "rms_norm_eps", 1, 0), 1e-5);
  EXPECT_EQ(api_.get_bool(root_, "tie", 1, 0), 1);
  EXPECT_EQ(api_.size(root_, "layer_types"), 2);
  const keel_str second = api_.get_string(root_, "layer_types/1", 1, "");
  EXPECT_EQ(std::string(second.data, second.size), "sliding");
  KEEL_EXPECT_OK(document_.status());
}

TEST_F(ConfigViewTest, KeepsWhatWasAskedForFoundOrNot) {
  api_.get_int(root_, "n_embd|hidden_size", 1, 0);
  api_.get_string(root_, "layer_types/1", 1, "");
  api_.kind(api_.child(root_, "text_config"), "vocab_size");
  EXPECT_THAT(document_.asked(), ElementsAre("hidden_size", "layer_types", "n_embd", "text_config",
                                             "text_config.vocab_size"));
}

TEST_F(ConfigViewTest, TakesNullForAbsent) {
  EXPECT_EQ(api_.get_int(root_, "n", 0, 7), 7);
  EXPECT_EQ(api_.kind(root_, "n"), KEEL_JSON_NULL);
  EXPECT_EQ(api_.kind(root_, "n|hidden_size"), KEEL_JSON_INT);
  EXPECT_EQ(api_.kind(root_, "m"), KEEL_JSON_ABSENT);
  KEEL_EXPECT_OK(document_.status());
}

TEST_F(ConfigViewTest, NamesAMissingKeyAndWhatWasExpected) {
  api_.get_int(root_, "num_hidden_layers|n_layer", 1, 0);
  EXPECT_THAT(
      document_.status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "config.json: num_hidden_layers (or n_layer) is missing, expected an integer"));
}

TEST_F(ConfigViewTest, NamesTheFullPathOfAWrongTypeInAChild) {
  keel_config* text = api_.child(root_, "text_config");
  ASSERT_NE(text, nullptr);
  api_.get_int(text, "vocab_size", 1, 0);
  EXPECT_THAT(document_.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("text_config.vocab_size is \"many\"")));
}

TEST_F(ConfigViewTest, KeepsTheFirstError) {
  api_.get_int(root_, "first", 1, 0);
  api_.get_int(root_, "second", 1, 0);
  EXPECT_THAT(document_.status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first is missing")));
}

TEST_F(ConfigViewTest, OutOfRangeIndicesAreAbsent) {
  for (const char* key : {"layer_types/2", "layer_types/-1", "layer_types/x", "hidden_size/0",
                          "text_config/a/b", "", "/"}) {
    EXPECT_EQ(api_.kind(root_, key), KEEL_JSON_ABSENT) << key;
  }
}

TEST_F(ConfigViewTest, GettersMayBeCalledFromAnyThread) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int k = 0; k < 200; ++k) {
        EXPECT_EQ(api_.get_int(root_, "hidden_size", 1, 0), 64);
        keel_config* text = api_.child(root_, "text_config");
        api_.get_int(text, "vocab_size", 1, 0);
        EXPECT_EQ(api_.status(text), 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ConfigViewTest, ListsTheMembersOfAnObjectInOrder) {
  const auto name = [&](const char* key, size_t i) {
    const keel_str text = api_.key(root_, key, i);
    return std::string(text.data, text.size);
  };
  EXPECT_EQ(name("", 0), "hidden_size");
  EXPECT_EQ(name("text_config", 0), "vocab_size");
  EXPECT_EQ(name("text_config", 1000), "");
  EXPECT_EQ(name("absent", 0), "");
  KEEL_EXPECT_OK(document_.status());
  EXPECT_EQ(name("hidden_size", 0), "");
  EXPECT_THAT(document_.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("hidden_size is 64 (an integer), expected an "
                                                     "object")));
}

TEST_F(ConfigViewTest, NullIsNoKey) {
  EXPECT_EQ(api_.kind(root_, nullptr), KEEL_JSON_ABSENT);
  EXPECT_EQ(api_.get_int(root_, nullptr, 1, 7), 7);
  EXPECT_EQ(api_.get_string(root_, nullptr, 1, nullptr).size, 0u);
  EXPECT_EQ(api_.child(root_, nullptr), nullptr);
  EXPECT_THAT(document_.status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a key that is NULL")));
}

}  // namespace
}  // namespace keel
