#include "core/remote/processor_pool.h"

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/plugin/discovery.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

using Function = proto::CallProcessor;

constexpr char kLibrary[] = "tests/plugins/hostile/libprocesses.so";
constexpr int64_t kImageToken = 77;

JailedImage Image() {
  FoundPlugins found = DiscoverPlugins({.plugin_paths = {kLibrary}}).value();
  return PluginTrust().AuthorizeJailed(found.plugins[0]).value();
}

proto::OpenProcessor Opening() {
  proto::OpenProcessor open;
  open.set_name("HostileProcessor");
  open.set_config_json("{}");
  return open;
}

// Knows one token, resizes to grey, and hears one number in every bin.
HostAnswers Host() {
  HostAnswers host;
  host.token_id = [](absl::string_view token) -> absl::StatusOr<int64_t> {
    return token == "<image>" ? kImageToken : -1;
  };
  host.read = [](const std::string& name) -> absl::StatusOr<std::string> {
    if (name == "preprocessor_config.json") return "{}";
    return absl::NotFoundError("");
  };
  host.resize = [](const proto::ResizeImage& to) -> absl::StatusOr<proto::JailTensor> {
    proto::JailTensor out;
    out.set_dtype(KEEL_U8);
    for (const int64_t dim : {to.height(), to.width(), int64_t{3}}) out.add_dims(dim);
    out.set_data(std::string(static_cast<size_t>(to.height() * to.width() * 3), '\x33'));
    return out;
  };
  host.power_spectrum = [](const proto::PowerSpectrum& asked) -> absl::StatusOr<proto::JailTensor> {
    const int64_t frames = 1 + asked.samples().dims(0) / asked.hop(),
                  bins = asked.window().dims(0) / 2 + 1;
    const std::vector<float> values(static_cast<size_t>(frames * bins), 0.25f);
    proto::JailTensor out;
    out.set_dtype(KEEL_F32);
    for (const int64_t dim : {frames, bins}) out.add_dims(dim);
    out.set_data(values.data(), values.size() * sizeof(float));
    return out;
  };
  return host;
}

proto::CallProcessor Count(int64_t height, int64_t width) {
  proto::CallProcessor call;
  call.set_function(Function::COUNT);
  proto::JailMedia& media = *call.add_media();
  media.set_modality(KEEL_MODALITY_IMAGE);
  media.set_height(height);
  media.set_width(width);
  return call;
}

class ProcessorPoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a build with a sanitizer can't jail";
#endif
    ProcessorPool::Options options;
    options.jail.wall_limit = absl::Seconds(8);
    options.jail.limits.cpu_seconds = 1;
    KEEL_ASSERT_OK_AND_ASSIGN(pool_, ProcessorPool::Create(Image(), Opening(), Host(), options));
  }
  std::unique_ptr<ProcessorPool> pool_;
};

TEST_F(ProcessorPoolTest, AnswersWithWhatTheHostKnows) {
  proto::CallProcessor call;
  call.set_function(Function::TOKENS);
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply reply, pool_->Call(call));
  EXPECT_EQ(reply.delivered().texts().at("image_token"), "<image>");
  EXPECT_EQ(reply.delivered().ints().at("image_token_id").values(0), kImageToken);
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply counted, pool_->Call(Count(4, 6)));
  ASSERT_EQ(counted.counts_size(), 1);
  EXPECT_EQ(counted.counts(0).tokens(), 24);
}

TEST_F(ProcessorPoolTest, MediaGoInAndTensorsComeOut) {
  proto::CallProcessor call = Count(4, 6);
  call.set_function(Function::PREPROCESS);
  proto::JailTensor& image = *call.mutable_media(0)->mutable_data();
  image.set_dtype(KEEL_U8);
  for (const int64_t dim : {4, 6, 3}) image.add_dims(dim);
  image.set_data(std::string(4 * 6 * 3, '\xff'));
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply reply, pool_->Call(call));
  const proto::JailTensor& pixels = reply.delivered().tensors().at("pixel_values");
  EXPECT_THAT(std::vector<int64_t>(pixels.dims().begin(), pixels.dims().end()),
              ::testing::ElementsAre(2, 3, 3));
  float first = 0;
  std::memcpy(&first, pixels.data().data(), sizeof(first));
  EXPECT_FLOAT_EQ(first, 0.2f);
}

TEST_F(ProcessorPoolTest, WhatWasCountedGoesInAgain) {
  proto::CallProcessor call;
  call.set_function(Function::REPLACEMENT);
  proto::JailMediaCount& count = *call.add_counts();
  count.set_tokens(2);
  count.set_runs(2);
  proto::JailMedia& media = *count.mutable_media();
  media.set_length(2);
  for (const double seconds : {0.0, 0.5}) media.add_frame_times(seconds);
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply reply, pool_->Call(call));
  EXPECT_EQ(reply.delivered().texts().at("text"), "<image>0.5<image>");
  media.add_frame_times(1);
  EXPECT_THAT(pool_->Call(call), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("media of 2 frames have 3 frame_times")));
}

// Of `hop` samples between frames, which the plugin takes from the media's height.
proto::CallProcessor Sound(int64_t samples, int64_t hop) {
  proto::CallProcessor call;
  call.set_function(Function::PREPROCESS);
  proto::JailMedia& media = *call.add_media();
  media.set_modality(KEEL_MODALITY_AUDIO);
  media.set_height(hop);
  media.set_length(samples);
  media.set_rate(16000);
  proto::JailTensor& data = *media.mutable_data();
  data.set_dtype(KEEL_F32);
  data.add_dims(samples);
  data.set_data(std::string(static_cast<size_t>(samples) * sizeof(float), '\0'));
  return call;
}

TEST_F(ProcessorPoolTest, TheHostMakesSpectraOfSounds) {
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply reply, pool_->Call(Sound(100, 10)));
  const proto::JailTensor& spectrum = reply.delivered().tensors().at("input_features");
  EXPECT_THAT(std::vector<int64_t>(spectrum.dims().begin(), spectrum.dims().end()),
              ::testing::ElementsAre(11, 9));
  float last = 0;
  std::memcpy(&last, spectrum.data().data() + (11 * 9 - 1) * sizeof(last), sizeof(last));
  EXPECT_FLOAT_EQ(last, 0.25f);
  EXPECT_THAT(pool_->Call(Sound(100, 0)), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ProcessorPoolTest, ACallThatKillsItsChildFailsAlone) {
  EXPECT_THAT(pool_->Call(Count(13, 1)),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("plugin libprocesses.so: in its jail, it crashes")));
  KEEL_EXPECT_OK(pool_->Call(Count(2, 2)).status());
  EXPECT_THAT(pool_->Call(Count(14, 1)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("in its jail, it takes ")));
  KEEL_EXPECT_OK(pool_->Call(Count(2, 2)).status());
}

TEST_F(ProcessorPoolTest, WhatItSaysIsChecked) {
  EXPECT_THAT(pool_->Call(Count(15, 1)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("its processor: counts -1")));
  EXPECT_THAT(pool_->Call(Count(21, 1)),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("its processor: counts 21 tokens in 22 runs")));
  proto::CallProcessor chat;
  chat.set_function(Function::CHAT);
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailReply reply, pool_->Call(chat));
  EXPECT_TRUE(reply.lacks_function());
}

TEST_F(ProcessorPoolTest, ManyThreadsShareIt) {
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int64_t n = 1; n <= 20; ++n) {
        const auto reply = pool_->Call(Count(n == 13 || n == 14 || n == 15 ? 1 : n, i + 1));
        if (reply.ok() && reply->counts(0).tokens() % (i + 1) == 0) ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 160);
}

TEST(ProcessorPoolCreateTest, AProcessorThatDoesNotOpenIsAnError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a build with a sanitizer can't jail";
#endif
  proto::OpenProcessor open = Opening();
  open.set_name("OtherProcessor");
  EXPECT_THAT(ProcessorPool::Create(Image(), open, Host(), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no processor 'OtherProcessor'")));
  HostAnswers host = Host();
  host.read = [](const std::string&) { return absl::NotFoundError(""); };
  EXPECT_THAT(ProcessorPool::Create(Image(), Opening(), host, {}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace keel
