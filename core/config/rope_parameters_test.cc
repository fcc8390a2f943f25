#include "core/config/rope_parameters.h"

#include <string>
#include <utility>
#include <vector>

#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

absl::StatusOr<RopeParameters> Resolve(absl::string_view text, RopeQuery query = {.head_dim = 8}) {
  const boost::json::value config = ParseJson(text, "config.json").value();
  return ResolveRope(query, config.get_object(), "config.json");
}

TEST(RopeParametersTest, OldAndNewKeysGiveTheSame) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters fresh,
      Resolve(
          R"({"rope_parameters": {"rope_theta": 5000.0, "rope_type": "linear", "factor": 4.0}})"));
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters old,
      Resolve(R"({"rope_theta": 5000.0, "rope_scaling": {"type": "linear", "factor": 4.0}})"));
  EXPECT_EQ(fresh.inv_freq, old.inv_freq);
  EXPECT_DOUBLE_EQ(fresh.inv_freq[0], 0.25);
}

TEST(RopeParametersTest, DefaultIsThetaToMinusTwoIOverD) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RopeParameters rope, Resolve("{}"));
  ASSERT_EQ(rope.inv_freq.size(), 4u);
  EXPECT_DOUBLE_EQ(rope.inv_freq[0], 1);
  EXPECT_NEAR(rope.inv_freq[1], 0.1, 1e-12);
  EXPECT_NEAR(rope.inv_freq[3], 0.001, 1e-12);
}

// Frequencies of transformers 5.23 for head_dim 8, theta 10000, factor 8, low 1, high 4,
// original 64.
TEST(RopeParametersTest, Llama3StretchesLongWavelengthsOnly) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters rope,
      Resolve(R"({"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})"));
  EXPECT_NEAR(rope.inv_freq[0], 1.0, 1e-9);
  EXPECT_NEAR(rope.inv_freq[1], 0.0130385, 1e-4);
  EXPECT_NEAR(rope.inv_freq[2], 0.01 / 8, 1e-9);
  EXPECT_NEAR(rope.inv_freq[3], 0.001 / 8, 1e-9);
}

TEST(RopeParametersTest, YarnScalesAttentionByTheLogOfItsFactor) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters rope,
      Resolve(R"({"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "yarn",
                                       "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 1024}})"));
  EXPECT_NEAR(rope.attention_factor, 1.1386294, 1e-6);
}

TEST(RopeParametersTest, PicksTheLayerType) {
  const char* config =
      R"({"rope_parameters": {"sliding_attention": {"rope_theta": 100.0}, "full_attention": {"rope_theta": 10000.0}}})";
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters local,
      Resolve(config, {.head_dim = 8, .params = "rope_parameters/sliding_attention"}));
  EXPECT_DOUBLE_EQ(local.theta, 100);
}

// As Gemma 3's files have it: what is scaled is the rope of the other layers, whether the file says this one's base or
// leaves it out.
TEST(RopeParametersTest, AnOldFilesScalingIsNotThatOfSlidingLayers) {
  for (const std::string base : {"", R"("rope_local_base_freq": 500.0, )"}) {
    const std::string config = R"({"text_config": {)" + base +
                               R"("rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})";
    const auto resolve = [&](const char* params, double theta) {
      return Resolve(config, {.head_dim = 8, .theta = theta, .params = params});
    };
    KEEL_ASSERT_OK_AND_ASSIGN(const RopeParameters sliding,
                              resolve("text_config/rope_parameters/sliding_attention", 10000));
    EXPECT_DOUBLE_EQ(sliding.theta, base.empty() ? 10000 : 500);
    EXPECT_DOUBLE_EQ(sliding.inv_freq[0], 1);
    KEEL_ASSERT_OK_AND_ASSIGN(const RopeParameters full,
                              resolve("text_config/rope_parameters/full_attention", 1e6));
    EXPECT_DOUBLE_EQ(full.theta, 1e6);
    EXPECT_DOUBLE_EQ(full.inv_freq[0], 1.0 / 8);
  }
}

TEST(RopeParametersTest, NamesAnUnknownType) {
  EXPECT_THAT(Resolve(R"({"rope_scaling": {"rope_type": "spiral"}})"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("'spiral'")));
}

TEST(RopeParametersTest, NamesAMissingFactor) {
  EXPECT_THAT(
      Resolve(R"({"rope_scaling": {"rope_type": "linear"}})"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rope_parameters.factor is missing")));
}

TEST(RopeParametersTest, RotatesThePartThatTheConfigSaysElseTheFamilysDefault) {
  const RopeQuery query = {.head_dim = 8, .partial_rotary_factor = 0.5};
  KEEL_ASSERT_OK_AND_ASSIGN(const RopeParameters family, Resolve("{}", query));
  EXPECT_EQ(family.rotary_size, 4);
  KEEL_ASSERT_OK_AND_ASSIGN(
      const RopeParameters config,
      Resolve(R"({"rope_parameters": {"partial_rotary_factor": 0.25}})", query));
  EXPECT_EQ(config.rotary_size, 2);
  KEEL_ASSERT_OK_AND_ASSIGN(const RopeParameters old, Resolve(R"({"rotary_pct": 1.0})", query));
  EXPECT_EQ(old.rotary_size, 8);
}

TEST(RopeParametersTest, RefusesOddRotarySizes) {
  EXPECT_THAT(Resolve(R"({"partial_rotary_factor": 0.4})"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rotary size 3")));
}

TEST(RopeParametersTest, RefusesWhatCannotBeRight) {
  for (const auto& [config, expected] : std::vector<std::pair<const char*, const char*>>{
           {R"({"rope_parameters": []})", "rope_parameters is [] (an array), expected an object"},
           {R"({"rope_parameters": 5})", "rope_parameters is 5"},
           {R"({"rope_parameters": "x"})", "rope_parameters is \"x\""},
           {R"({"rope_scaling": [1]})", "rope_scaling is [...] (an array)"},
           {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "factor is 0, expected a"},
           {R"({"rope_scaling": {"type": "linear", "factor": -2.0}})", "rope_parameters.factor is"},
           {R"({"rope_scaling": {"type": "dynamic", "factor": 0}})", "factor is 0"},
           {R"({"rope_scaling": {"type": "yarn", "factor": 0}, "max_position_embeddings": 9})",
            "factor is 0"},
           {R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4,
                "high_freq_factor": 1, "original_max_position_embeddings": 64}})",
            "high_freq_factor is 1, expected more"},
           {R"({"rope_scaling": {"type": "longrope", "short_factor": [1, 1, 0, 1],
                "long_factor": [1, 1, 1, 1]}, "max_position_embeddings": 9})",
            "short_factor is 0, expected a number above 0"}}) {
    EXPECT_THAT(Resolve(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(expected)))
        << config;
  }
}

TEST(RopeParametersTest, RefusesAScalingThatIsNotApplied) {
  EXPECT_THAT(
      Resolve(R"({"rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 1000.0}})"),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("rope_parameters.\"alpha\" is 1")));
}

TEST(RopeParametersTest, YarnAndDynamicAllowLongerTexts) {
  const auto extended = [](absl::string_view text, int64_t max_positions) {
    const boost::json::value config = ParseJson(text, "config.json").value();
    return ExtendedPositions(config.get_object(), max_positions, "config.json");
  };
  EXPECT_THAT(extended(R"({"max_position_embeddings": 64, "rope_scaling": {"type": "yarn",
                           "factor": 4.0, "original_max_position_embeddings": 64}})",
                       64),
              IsOkAndHolds(256));
  EXPECT_THAT(extended(R"({"max_position_embeddings": 256, "rope_scaling": {"type": "yarn",
                           "factor": 4.0, "original_max_position_embeddings": 64}})",
                       256),
              IsOkAndHolds(256));
  EXPECT_THAT(extended(R"({"max_position_embeddings": 64, "rope_parameters": {
                           "rope_type": "dynamic", "factor": 2.0}})",
                       64),
              IsOkAndHolds(128));
  EXPECT_THAT(extended(R"({"text_config": {"max_position_embeddings": 64, "rope_parameters": {
                           "full_attention": {"rope_type": "dynamic", "factor": 2.0}}}})",
                       64),
              IsOkAndHolds(128));
  for (const char* other : {"{}", R"({"rope_scaling": {"type": "linear", "factor": 2.0}})",
                            R"({"rope_scaling": {"type": "llama3", "factor": 8.0}})"}) {
    EXPECT_THAT(extended(other, 64), IsOkAndHolds(64)) << other;
  }
}

}  // namespace
}  // namespace keel
