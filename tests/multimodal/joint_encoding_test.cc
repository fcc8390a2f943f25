// Arguments: a family's library and its checkpoint. Images of four requests that wait at the same time go through the encoder
// in one call, to the answers that they get one by one; and one of the four is cancelled amid it.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/engine/engine.h"
#include "core/exec/executor.h"
#include "core/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;

std::string g_plugin, g_dir;

// Runs another executor, and waits where the test says.
class HeldExecutor : public Executor {
 public:
  explicit HeldExecutor(std::unique_ptr<Executor> executor)
      : Executor(executor->report()), executor_(std::move(executor)) {}

  CacheLayout cache_layout() const override { return executor_->cache_layout(); }
  absl::Status AllocateCache(absl::Span<const int32_t> blocks, int32_t slots) override {
    return executor_->AllocateCache(blocks, slots);
  }
  absl::Status Do(const CacheWork& work) override { return executor_->Do(work); }
  absl::StatusOr<at::Tensor> Step(const Batch& batch) override {
    if (!in_step.HasBeenNotified()) in_step.Notify();
    go_on.WaitForNotification();
    return executor_->Step(batch);
  }
  bool EncodesTogether(const std::string& modality) const override {
    return executor_->EncodesTogether(modality);
  }
  absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding(
      const std::string& modality, absl::Span<const NamedTensors* const> items) override {
    calls.push_back(static_cast<int>(items.size()));
    KEEL_ASSIGN_OR_RETURN(auto encoding, executor_->StartEncoding(modality, items));
    return std::make_unique<HeldEncoding>(*this, std::move(encoding));
  }

  absl::Notification in_step, go_on;  // the first step waits in between
  absl::Notification in_encoding,
      encode_on;           // so does the first call of an encoder, an op after its begin
  std::vector<int> calls;  // items of each

 private:
  class HeldEncoding : public Encoding {
   public:
    HeldEncoding(HeldExecutor& executor, std::unique_ptr<Encoding> encoding)
        : executor_(executor), encoding_(std::move(encoding)) {}
    absl::StatusOr<FeatureList> Advance(absl::Duration) override {
      auto features = encoding_->Advance(absl::ZeroDuration());
      if (!executor_.in_encoding.HasBeenNotified()) executor_.in_encoding.Notify();
      executor_.encode_on.WaitForNotification();
      return features;
    }

   private:
    HeldExecutor& executor_;
    std::unique_ptr<Encoding> encoding_;
  };

  const std::unique_ptr<Executor> executor_;
};

// An image of its own for each number.
std::shared_ptr<const MediaItem> Image(int number) {
  MediaItem item;
  item.modality = KEEL_MODALITY_IMAGE;
  item.height = 56 + 28 * (number % 3);
  item.width = 84;
  for (int64_t i = 0; i < item.height * item.width * 3; ++i)
    item.rgb.push_back(static_cast<uint8_t>(i * (2 * number + 3) % 251));
  return std::make_shared<const MediaItem>(std::move(item));
}

Request Asking(const std::string& content) {
  Request request;
  ChatPrompt prompt;
  prompt.messages = absl::StrCat(R"([{"role": "user", "content": [)", content,
                                 R"({"type": "text", "text": "What is it?"}]}])");
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = 12;
  request.ignore_eos = true;
  request.stream = false;
  return request;
}

class Answer {
 public:
  Answer(Engine& engine, const Request& request) {
    const absl::StatusOr<uint64_t> submitted = engine.Submit(request, [this](Output output) {
      tokens_.insert(tokens_.end(), output.tokens.begin(), output.tokens.end());
      if (!output.status.ok()) status_ = output.status;
      if (output.is_last) done_.Notify();
    });
    KEEL_EXPECT_OK(submitted.status());
    if (submitted.ok()) id = *submitted;
  }

  const std::vector<int32_t>& tokens() {
    done_.WaitForNotification();
    return tokens_;
  }
  const absl::Status& status() {
    done_.WaitForNotification();
    return status_;
  }

  uint64_t id = 0;

 private:
  absl::Notification done_;
  absl::Status status_;
  std::vector<int32_t> tokens_;
};

std::unique_ptr<Answer> AskAbout(Engine& engine, int image) {
  Request request = Asking(R"({"type": "image"}, )");
  request.media.emplace_back(Image(image));
  return std::make_unique<Answer>(engine, request);
}

class JointEncodingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.model.name = g_dir;
    options.model.plugin_paths = {g_plugin};
    options.model.weight_cache = "";
    options.cache.memory_bytes = 4 << 20;
    options.threads = 2;
    KEEL_ASSERT_OK_AND_ASSIGN(Model alone, LoadModel(options));
    EngineOptions one_by_one = options;
    one_by_one.max_encoder_tokens = 0;
    KEEL_ASSERT_OK_AND_ASSIGN(alone_, Engine::Serve(one_by_one, std::move(alone)));
    KEEL_ASSERT_OK_AND_ASSIGN(Model model, LoadModel(options));
    auto held = std::make_unique<HeldExecutor>(std::move(model.executor));
    held_ = held.get();
    model.executor = std::move(held);
    KEEL_ASSERT_OK_AND_ASSIGN(engine_, Engine::Serve(options, std::move(model)));
  }

  // All of them come while the engine is busy with a text.
  void AskTogether() {
    Request text = Asking("");
    text.max_tokens = 1;
    text_ = std::make_unique<Answer>(*engine_, text);
    held_->in_step.WaitForNotification();
    for (int i = 0; i < kRequests; ++i) answers_.push_back(AskAbout(*engine_, i));
    held_->go_on.Notify();
  }
  void ExpectAnswer(int i) {
    KEEL_EXPECT_OK(answers_[static_cast<size_t>(i)]->status());
    EXPECT_EQ(answers_[static_cast<size_t>(i)]->tokens(), AskAbout(*alone_, i)->tokens()) << i;
  }

  static constexpr int kRequests = 4;
  std::unique_ptr<Engine> alone_, engine_;
  HeldExecutor* held_ = nullptr;
  std::unique_ptr<Answer> text_;
  std::vector<std::unique_ptr<Answer>> answers_;
};

TEST_F(JointEncodingTest, ImagesOfFourRequestsAreOneCall) {
  held_->encode_on.Notify();
  AskTogether();
  for (int i = 0; i < kRequests; ++i) ExpectAnswer(i);
  EXPECT_THAT(held_->calls, ElementsAre(kRequests));
  EXPECT_EQ(engine_->metrics().encoder_calls.Value(), 1);
  EXPECT_EQ(alone_->metrics().encoder_calls.Value(), kRequests);
  // One that comes again is known by itself.
  EXPECT_EQ(AskAbout(*engine_, 2)->tokens(), answers_[2]->tokens());
  EXPECT_EQ(engine_->metrics().encoder_calls.Value(), 1);
}

TEST_F(JointEncodingTest, OneIsCancelledAmidTheCall) {
  AskTogether();
  held_->in_encoding.WaitForNotification();
  KEEL_EXPECT_OK(engine_->Cancel(answers_[1]->id));
  held_->encode_on.Notify();
  EXPECT_LT(answers_[1]->tokens().size(), 12u);
  for (const int i : {0, 2, 3}) ExpectAnswer(i);
  EXPECT_THAT(held_->calls, ElementsAre(kRequests));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s plugin.so testdata-dir\n", argv[0]);
    return 2;
  }
  keel::g_plugin = argv[1];
  keel::g_dir = argv[2];
  return RUN_ALL_TESTS();
}
