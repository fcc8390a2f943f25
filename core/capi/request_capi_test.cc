#include <cmath>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/capi/handles.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/engine.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;

constexpr keel_status kInvalidArgument = 3;

TEST(RequestCapiTest, ARefusedValueChangesNothing) {
  keel_request request;
  ASSERT_EQ(keel_request_set_int(&request, "n", 3), 0);
  EXPECT_EQ(keel_request_set_int(&request, "n", 1000), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("n is 1000, expected 1 to "));
  EXPECT_THAT(keel_error_detail("field"), StrEq("n"));
  EXPECT_EQ(request.request.n, 3);

  EXPECT_EQ(keel_request_add_int(&request, "stop_token_ids", -1), kInvalidArgument);
  EXPECT_THAT(request.request.stop_token_ids, IsEmpty());
  EXPECT_EQ(keel_request_add_int(&request, "stop_token_ids", 7), 0);
  EXPECT_THAT(request.request.stop_token_ids, ElementsAre(7));

  EXPECT_EQ(keel_request_set_float(&request, "temperature", std::nan("")), kInvalidArgument);
  EXPECT_FALSE(request.request.sampling.temperature.has_value());
}

TEST(RequestCapiTest, AToolChoiceIsOfARequestThatIsTakenApart) {
  keel_request request;
  ASSERT_EQ(keel_request_set_string(&request, "tool_choice", "required", 8), 0);
  EXPECT_FALSE(request.request.Finish().parsing.has_value());
  ASSERT_EQ(keel_request_set_int(&request, "parse_output", 1), 0);
  ASSERT_EQ(keel_request_set_int(&request, "parallel_tool_calls", 0), 0);
  EXPECT_EQ(request.request.Finish().parsing->tools, keel::ToolUse::kRequired);
  EXPECT_FALSE(request.request.Finish().parsing->parallel_calls);
  ASSERT_EQ(keel_request_set_string(&request, "tool_name", "f", 1), 0);
  EXPECT_EQ(request.request.Finish().parsing->tools, keel::ToolUse::kNamed);
  EXPECT_EQ(request.request.Finish().parsing->named, "f");
  EXPECT_EQ(keel_request_set_string(&request, "tool_choice", "any", 3), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("expected auto, none or required"));
  EXPECT_THAT(keel_error_detail("field"), StrEq("tool_choice"));
}

TEST(RequestCapiTest, ErrorsSayWhichParameter) {
  keel_request request;
  EXPECT_EQ(keel_request_set_int(&request, "max_token", 3), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("unknown integer parameter 'max_token'"));
  EXPECT_THAT(keel_error_detail("field"), StrEq("max_token"));
  EXPECT_THAT(keel_error_detail("flag"), StrEq(""));
  EXPECT_THAT(keel_error_detail("colour"), StrEq(""));
}

TEST(RequestCapiTest, CopiesImages) {
  keel_request request;
  std::vector<uint8_t> rgb(2 * 3 * 3, 7);
  ASSERT_EQ(keel_request_add_image(&request, rgb.data(), 2, 3), 0);
  rgb.assign(rgb.size(), 0);
  ASSERT_EQ(request.request.media.size(), 1u);
  const auto& image =
      *std::get<std::shared_ptr<const keel::MediaItem>>(request.request.media[0].content);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.rgb, std::vector<uint8_t>(18, 7));
  EXPECT_EQ(keel_request_add_image(&request, rgb.data(), 2, 0), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("image of 2x0 pixels"));
  EXPECT_THAT(keel_error_detail("field"), StrEq("media"));
}

TEST(RequestCapiTest, CopiesSounds) {
  keel_request request;
  std::vector<float> samples(5, 0.5f);
  ASSERT_EQ(keel_request_add_audio(&request, samples.data(), samples.size(), 22050), 0);
  samples.assign(samples.size(), 0);
  const auto& audio =
      *std::get<std::shared_ptr<const keel::MediaItem>>(request.request.media[0].content);
  EXPECT_EQ(audio.modality, KEEL_MODALITY_AUDIO);
  EXPECT_EQ(audio.length, 5);
  EXPECT_EQ(audio.rate, 22050);
  EXPECT_EQ(audio.samples, std::vector<float>(5, 0.5f));
  EXPECT_EQ(keel_request_add_audio(&request, samples.data(), 0, 22050), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("audio of 0 samples"));
  EXPECT_EQ(keel_request_add_audio(&request, samples.data(), 5, 0), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("audio of 0 samples a second, expected 1 to"));
  EXPECT_THAT(keel_error_detail("field"), StrEq("media"));
}

TEST(RequestCapiTest, CopiesFilesAndUrls) {
  keel_request request;
  std::string text = "bytes";
  ASSERT_EQ(keel_request_add_media(&request, "audio", text.data(), text.size(), ""), 0);
  ASSERT_EQ(keel_request_add_media_url(&request, "image", text.data(), text.size(), "here"), 0);
  text = "other";
  const std::vector<keel::MediaInput>& media = request.request.media;
  ASSERT_EQ(media.size(), 2u);
  EXPECT_EQ(*std::get<keel::MediaInput::File>(media[0].content).bytes, "bytes");
  EXPECT_EQ(media[0].Name(0), "media 0");
  EXPECT_EQ(media[0].modality, KEEL_MODALITY_AUDIO);
  EXPECT_EQ(*std::get<keel::MediaInput::Url>(media[1].content).url, "bytes");
  EXPECT_EQ(media[1].Name(1), "here");
  EXPECT_EQ(keel_request_add_media_url(&request, "smell", "x", 1, ""), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("expected image, video or audio"));
}

TEST(RequestCapiTest, HasOneGrammar) {
  keel_request request;
  ASSERT_EQ(keel_request_set_string(&request, "structured_regex", "a+", 2), 0);
  EXPECT_EQ(keel_request_set_string(&request, "structured_json", "{}", 2), kInvalidArgument);
  EXPECT_THAT(keel_error_message(), HasSubstr("expected one of them"));
  EXPECT_THAT(keel_error_detail("field"), StrEq("structured_json"));
}

TEST(RequestCapiTest, OptionsSayWhichFlag) {
  keel_options* options = nullptr;
  ASSERT_EQ(keel_options_new(&options), 0);
  EXPECT_EQ(keel_options_set(options, "block-size", "0"), kInvalidArgument);
  EXPECT_THAT(keel_error_detail("flag"), StrEq("block-size"));
  keel_options_free(options);
}

TEST(RequestCapiTest, OutputsSayWhatTheirErrorIsAbout) {
  keel::Output output;
  output.status =
      keel::WithField(absl::InvalidArgumentError("bad_words leave no token"), "bad_words");
  output.stop_token = 42;
  const keel_output failed(std::move(output)), fine;
  EXPECT_THAT(keel_output_error_detail(&failed, "field"), StrEq("bad_words"));
  EXPECT_THAT(keel_output_error_detail(&fine, "field"), StrEq(""));
  EXPECT_EQ(keel_output_stop_token(&failed), 42);
  EXPECT_EQ(keel_output_stop_token(&fine), -1);
}

TEST(OutputCapiTest, AnOutputSaysWhoseItIs) {
  int mine = 0;
  const keel_output output({}, &mine);
  EXPECT_EQ(keel_output_user(&output), &mine);
}

}  // namespace
