// Arguments: a family's library and its checkpoint, and --jailed, if the library is to be the checkpoint's own, which nobody
// trusts. A tiny model that sees or hears, held against what transformers makes of
// the same images or sounds: how many tokens sizes take, pixel values or spectrograms, features, logits and 32 greedy
// tokens; alone, together, in chunks, preempted, forked, and with what was computed before. What some of them measure they
// record, for parity.py.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/sha256.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/safetensors.h"
#include "core/engine/engine.h"
#include "core/plugin/manifest.h"
#include "core/processor/media_prompt.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/multimodal/counts.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int32_t kBos = 0;  // of the tiny tokenizer

std::string g_plugin, g_dir;
bool g_jailed = false;

// What a modality's inputs and features are called, by the processor and in the goldens.
struct Names {
  const char *inputs, *expected_inputs, *expected_features;
};
Names NamesOf(uint32_t modality) {
  if (modality == KEEL_MODALITY_AUDIO)
    return {"input_features", ".input_features", ".audio_features"};
  if (modality == KEEL_MODALITY_VIDEO)
    return {"pixel_values", ".pixel_values_videos", ".video_features"};
  return {"pixel_values", ".pixel_values", ".features"};
}

struct Chat {
  std::string messages;  // JSON
  std::string text;      // what the template makes of them
  MediaItems media;
  std::vector<int32_t> prompt, ids, greedy;  // prompt: with one placeholder an item
};

// What the golden maker wrote.
class Goldens {
 public:
  static const Goldens& Get() {
    static const auto* goldens = new Goldens();
    return *goldens;
  }

  const Chat& chat(const std::string& name) const { return chats_.at(name); }
  const std::map<std::string, Chat>& chats() const { return chats_; }
  bool hears() const { return !sounds_.empty(); }

  at::Tensor Tensor(const std::string& name) const {
    const TensorView* view = file_->Find(name);
    return at::from_blob(const_cast<uint8_t*>(view->data), view->shape,
                         at::TensorOptions().dtype(at::kFloat));
  }

 private:
  Goldens() {
    file_ = std::make_unique<SafetensorsFile>(
        *SafetensorsFile::Open(JoinPath(g_dir, "goldens.safetensors")));
    for (int i = 0; file_->Find("image_" + std::to_string(i)) != nullptr; ++i)
      images_.push_back(Item("image_" + std::to_string(i)));
    for (int i = 0; file_->Find("video_" + std::to_string(i)) != nullptr; ++i)
      videos_.push_back(Item("video_" + std::to_string(i)));
    for (int i = 0; file_->Find("sound_" + std::to_string(i)) != nullptr; ++i)
      sounds_.push_back(Sound("sound_" + std::to_string(i)));
    const std::string text = *ReadFile(JoinPath(g_dir, "goldens.json"));
    const boost::json::value facts = *ParseJson(text, "goldens.json");
    for (const auto& [name, chat] : facts.at("chats").as_object())
      Add(std::string(name), chat.at("parts").as_array(), std::string(chat.at("text").as_string()));
  }

  // RGB8 [h, w, 3] of an image, [t, h, w, 3] of a video.
  std::shared_ptr<const MediaItem> Item(const std::string& name) const {
    const TensorView& view = *file_->Find(name);
    MediaItem item;
    const size_t first = view.shape.size() - 3;
    item.height = view.shape[first];
    item.width = view.shape[first + 1];
    if (first == 1) {
      item.modality = KEEL_MODALITY_VIDEO;
      item.length = view.shape[0];
      item.rate = 2;  // tests/goldens/make_multimodal.py says it
      for (int64_t i = 0; i < item.length; ++i)
        item.seconds.push_back(static_cast<double>(i) / item.rate);
    }
    item.rgb.assign(view.data, view.data + view.bytes);
    return std::make_shared<const MediaItem>(std::move(item));
  }

  std::shared_ptr<const MediaItem> Sound(const std::string& name) const {
    const TensorView& view = *file_->Find(name);
    MediaItem item = {.modality = KEEL_MODALITY_AUDIO, .length = view.shape[0], .rate = 16000};
    const auto* samples = reinterpret_cast<const float*>(view.data);
    item.samples.assign(samples, samples + item.length);
    return std::make_shared<const MediaItem>(std::move(item));
  }

  std::vector<int32_t> Ids(const std::string& name) const {
    const TensorView& view = *file_->Find(name);
    const auto* ids = reinterpret_cast<const int64_t*>(view.data);
    return {ids, ids + view.elements()};
  }

  void Add(const std::string& name, const boost::json::array& parts, std::string text) {
    Chat& chat = chats_[name];
    chat.text = std::move(text);
    boost::json::array content;
    for (const boost::json::value& part : parts) {
      if (part.is_string()) {
        content.push_back(boost::json::object{{"type", "text"}, {"text", part}});
      } else if (part.is_array()) {
        content.push_back(boost::json::object{{"type", "video"}});
        const boost::json::value& number = part.as_array().front();
        chat.media.push_back(videos_[static_cast<size_t>(number.to_number<int>())]);
      } else {
        content.push_back(boost::json::object{{"type", hears() ? "audio" : "image"}});
        const MediaItems& items = hears() ? sounds_ : images_;
        chat.media.push_back(items[static_cast<size_t>(part.to_number<int>())]);
      }
    }
    chat.messages = boost::json::serialize(
        boost::json::array{boost::json::object{{"role", "user"}, {"content", content}}});
    chat.prompt = Ids(name + ".prompt_ids");
    chat.ids = Ids(name + ".input_ids");
    chat.greedy = Ids(name + ".greedy");
  }

  std::unique_ptr<SafetensorsFile> file_;
  MediaItems images_, videos_, sounds_;  // either sounds or the others
  std::map<std::string, Chat> chats_;
};

// Numbers of groups for a step that computes all of a prompt.
std::vector<int32_t> NumbersOf(const std::vector<TokenRange>& groups, size_t tokens) {
  std::vector<int32_t> numbers(tokens, -1);
  for (size_t i = 0; i < groups.size(); ++i)
    std::fill(numbers.begin() + groups[i].begin, numbers.begin() + groups[i].end,
              static_cast<int32_t>(i));
  return numbers;
}

EngineOptions Options() {
  EngineOptions options;
  options.model.name = g_dir;
  if (g_jailed) {
    options.model.impl = ModelImpl::kPlugin;
    options.model.remote_code.mode = RemoteCodePolicy::Mode::kJailed;
  } else {
    options.model.plugin_paths = {g_plugin};
  }
  options.model.weight_cache = "";
  options.cache.memory_bytes = 4 << 20;
  options.threads = 2;
  return options;
}

std::unique_ptr<Engine> Start(const EngineOptions& options) {
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create(options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

Request GreedyRequest(const Chat& chat) {
  Request request;
  ChatPrompt prompt;
  prompt.messages = chat.messages;
  request.prompt = std::move(prompt);
  request.media.assign(chat.media.begin(), chat.media.end());
  request.sampling.temperature = 0;
  request.max_tokens = static_cast<int64_t>(chat.greedy.size());
  request.ignore_eos = true;
  request.stream = false;
  return request;
}

// A request's answers, by index.
class Answer {
 public:
  Answer(Engine& engine, const Request& request) {
    const absl::StatusOr<uint64_t> id = engine.Submit(request, [this](Output output) {
      std::vector<int32_t>& tokens = tokens_[output.index];
      tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
      if (!output.status.ok()) status_ = output.status;
      if (output.prompt_tokens != nullptr) prompt_ = *output.prompt_tokens;
      cached_ = std::max(cached_, output.cached_tokens);
      if (output.is_last) done_.Notify();
    });
    if (id.ok()) return;
    status_ = id.status();
    done_.Notify();
  }

  Answer& Wait() {
    done_.WaitForNotification();
    return *this;
  }
  const absl::Status& status() { return Wait().status_; }
  const std::vector<int32_t>& tokens(uint32_t index = 0) { return Wait().tokens_[index]; }
  const std::vector<int32_t>& prompt() { return Wait().prompt_; }
  int32_t cached() { return Wait().cached_; }

 private:
  absl::Notification done_;
  absl::Status status_;
  std::map<uint32_t, std::vector<int32_t>> tokens_;
  std::vector<int32_t> prompt_;
  int32_t cached_ = 0;
};

// As many of `counted` items as are so.
class Share {
 public:
  void Add(bool is_so) { ++counted_, equal_ += is_so; }
  void Record(const char* name) const {
    ::testing::Test::RecordProperty(name, absl::StrCat(equal_, " of ", counted_));
  }

 private:
  int64_t counted_ = 0, equal_ = 0;
};

// The largest difference of each kind: "image_features".
class Differences {
 public:
  double Add(const std::string& kind, double difference) {
    largest_[kind] = std::max(largest_[kind], difference);
    return difference;
  }
  void Record() const {
    for (const auto& [kind, difference] : largest_)
      ::testing::Test::RecordProperty(kind, absl::StrCat(difference));
  }

 private:
  std::map<std::string, double> largest_;
};

// Every chat at once, several of each.
Share ExpectGoldens(Engine& engine, int copies = 2) {
  Share equal;
  std::vector<std::pair<const Chat*, std::unique_ptr<Answer>>> answers;
  for (int i = 0; i < copies; ++i) {
    for (const auto& [name, chat] : Goldens::Get().chats())
      answers.push_back({&chat, std::make_unique<Answer>(engine, GreedyRequest(chat))});
  }
  for (const auto& [chat, answer] : answers) {
    KEEL_EXPECT_OK(answer->status());
    EXPECT_EQ(answer->prompt(), chat->ids) << chat->messages;
    EXPECT_EQ(answer->tokens(), chat->greedy) << chat->messages;
    for (size_t i = 0; i < chat->greedy.size(); ++i)
      equal.Add(i < answer->tokens().size() && answer->tokens()[i] == chat->greedy[i]);
  }
  return equal;
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (at::abs(a - b).max() / at::abs(b).max()).item<double>();
}

TEST(VisionTest, CountsAreTransformers) {
  KEEL_ASSERT_OK_AND_ASSIGN(Model model, LoadModel(Options()));
  const uint32_t modality = Goldens::Get().hears() ? KEEL_MODALITY_AUDIO : KEEL_MODALITY_IMAGE;
  KEEL_ASSERT_OK_AND_ASSIGN(const auto counts, testing::ReadCounts(g_dir, modality));
  ASSERT_GE(counts.size(), 10'000u);
  Share equal;
  for (const auto& [item, tokens] : counts) {
    const MediaItem* items[] = {&item};
    const auto counted = model.processor->Count(items, "");
    equal.Add((counted.ok() ? (*counted)[0].tokens : -1) == tokens);
    EXPECT_EQ(counted.ok() ? (*counted)[0].tokens : -1, tokens)
        << item.height << "x" << item.width << ", length " << item.length << " "
        << counted.status();
  }
  equal.Record("counts");
}

TEST(VisionTest, CountsOfVideosAreTransformers) {
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(g_dir, "video_counts.json"));
  if (!text.ok()) GTEST_SKIP() << "takes no videos";
  KEEL_ASSERT_OK_AND_ASSIGN(Model model, LoadModel(Options()));
  KEEL_ASSERT_OK_AND_ASSIGN(const boost::json::value counts, ParseJson(*text, "video_counts.json"));
  ASSERT_GE(counts.as_array().size(), 100u);
  Share equal;
  for (const boost::json::value& row : counts.as_array()) {
    MediaItem item;
    item.modality = KEEL_MODALITY_VIDEO;
    const boost::json::array& numbers = row.as_array();
    item.length = numbers[0].to_number<int64_t>();
    item.height = numbers[1].to_number<int64_t>();
    item.width = numbers[2].to_number<int64_t>();
    const MediaItem* items[] = {&item};
    const auto counted = model.processor->Count(items, "");
    const int64_t tokens = numbers[3].to_number<int64_t>();
    equal.Add((counted.ok() ? (*counted)[0].tokens : -1) == tokens);
    EXPECT_EQ(counted.ok() ? (*counted)[0].tokens : -1, tokens)
        << item.length << " of " << item.height << "x" << item.width << " " << counted.status();
  }
  equal.Record("video_counts");
}

TEST(VisionTest, PixelsFeaturesAndLogitsAreTransformers) {
  KEEL_ASSERT_OK_AND_ASSIGN(Model model, LoadModel(Options()));
  Differences found;
  for (const auto& [name, chat] : Goldens::Get().chats()) {
    SCOPED_TRACE(name);
    std::vector<const MediaItem*> items;
    for (const auto& item : chat.media) items.push_back(item.get());
    KEEL_ASSERT_OK_AND_ASSIGN(const auto counts, model.processor->Count(items, ""));
    KEEL_ASSERT_OK_AND_ASSIGN(const MediaPrompt media,
                              ExpandMedia(*model.processor, chat.prompt, counts));
    ASSERT_EQ(media.ids, chat.ids);
    Batch batch;
    batch.token_ids = media.ids;
    std::array<int64_t, 4> patches = {}, rows = {};  // those before, by modality
    for (size_t i = 0; i < items.size(); ++i) {
      KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors inputs,
                                model.processor->Preprocess(*items[i], counts.options()));
      const uint32_t modality = items[i]->modality;
      const Names names = NamesOf(modality);
      const HostTensor& pixels = inputs.at(names.inputs);
      const at::Tensor ours = at::from_blob(const_cast<uint8_t*>(pixels.bytes.data()), pixels.dims,
                                            at::TensorOptions().dtype(at::kFloat));
      const at::Tensor theirs = Goldens::Get()
                                    .Tensor(name + names.expected_inputs)
                                    .narrow(0, patches[modality], pixels.dims[0]);
      const std::string kind = ModalityName(modality);
      EXPECT_LE(found.Add(kind + "_inputs", at::abs(ours - theirs).max().item<double>()), 1e-5)
          << "item " << i;
      patches[modality] += pixels.dims[0];
      KEEL_ASSERT_OK_AND_ASSIGN(const auto features,
                                model.executor->Encode(ModalityName(modality), inputs));
      ASSERT_EQ(features->num_rows(), media.spans[i].features);
      const at::Tensor expected = Goldens::Get()
                                      .Tensor(name + names.expected_features)
                                      .narrow(0, rows[modality], features->num_rows());
      EXPECT_LE(found.Add(kind + "_features", Difference(features->rows(), expected)), 1e-4)
          << "item " << i;
      rows[modality] += features->num_rows();
      for (const MediaTokensSpan::Run& run : media.spans[i].runs)
        batch.features.push_back({run.begin, run.num, run.first, features});
    }
    if (media.places.has_value()) batch.positions = media.places->positions;
    const auto size = static_cast<int32_t>(media.ids.size());
    BatchSequence& sequence = batch.sequences.emplace_back(BatchSequence{0, size});
    std::vector<int32_t> blocks;
    for (int32_t i = 0; i <= size / 16; ++i) blocks.push_back(i);
    sequence.blocks.assign(model.blocks.groups.size(), blocks);
    for (int32_t i = 0; i < size; ++i) batch.logit_rows.push_back(i);
    const at::Tensor theirs = Goldens::Get().Tensor(name + ".logits");
    if (model.takes_groups && !media.groups.empty()) {
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor causal, model.executor->Step(batch));
      EXPECT_GT(Difference(causal, theirs), 1e-2) << "nothing hangs on groups";
      batch.groups = NumbersOf(media.groups, media.ids.size());
    }
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, model.executor->Step(batch));
    EXPECT_LE(found.Add("logits", Difference(logits, theirs)), 1e-4);
  }
  found.Record();
}

// Tokens that see each other, of the chat that has the most; 0: none do.
int32_t LongestGroup() {
  const absl::StatusOr<Model> model = LoadModel(Options());
  EXPECT_TRUE(model.ok()) << model.status();
  int32_t longest = 0;
  for (const auto& [name, chat] : Goldens::Get().chats()) {
    std::vector<const MediaItem*> items;
    for (const auto& item : chat.media) items.push_back(item.get());
    const auto media =
        ExpandMedia(*model->processor, chat.prompt, *model->processor->Count(items, ""));
    for (const TokenRange& group : media->groups)
      if (model->takes_groups) longest = std::max(longest, group.size());
  }
  return longest;
}

TEST(VisionTest, AnswersAsTransformers) {
  const auto engine = Start(Options());
  ExpectGoldens(*engine).Record("greedy");
}

TEST(VisionTest, ChunksCutImages) {
  EngineOptions options = Options();
  const int32_t group = LongestGroup();
  options.scheduler.max_num_batched_tokens = std::max(5, group);
  options.media_cache_bytes = 0;
  const auto engine = Start(options);
  ExpectGoldens(*engine);
  if (group == 0) return;
  // What can't be cut is refused where a step has no room for it.
  options.scheduler.max_num_batched_tokens = group - 1;
  const auto small = Start(options);
  for (const auto& [name, chat] : Goldens::Get().chats()) {
    Answer answer(*small, GreedyRequest(chat));
    if (answer.status().ok()) continue;
    EXPECT_THAT(answer.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr(absl::StrCat("computes all ", group,
                                                                 " of them, and a step has "
                                                                 "at most ",
                                                                 group - 1))));
    return;
  }
  ADD_FAILURE() << "all chats ran";
}

// Begun as the tokenizer begins a text, unless the processor puts that token elsewhere.
TEST(VisionTest, ATextMayBringThePlaceholdersItself) {
  const auto engine = Start(Options());
  const Chat& chat = Goldens::Get().chat("two");
  const bool is_one_group = LongestGroup() >= static_cast<int32_t>(chat.ids.size());
  for (const bool with_special : {false, true}) {
    Request request = GreedyRequest(chat);
    request.prompt = chat.text;
    request.add_special_tokens = with_special;
    std::vector<int32_t> ids = chat.ids;
    if (with_special && !is_one_group) ids.insert(ids.begin(), kBos);
    Answer answer(*engine, request);
    KEEL_EXPECT_OK(answer.status());
    EXPECT_EQ(answer.prompt(), ids);
  }
}

TEST(VisionTest, AnswersAlikeHoweverItRuns) {
  EngineOptions way = Options();
  const auto expect_goldens = [&](const char* flags) {
    SCOPED_TRACE(flags);
    const auto engine = Start(way);
    if (engine != nullptr) ExpectGoldens(*engine);
    way.executor = Options().executor;
  };
  way.executor.mode = ExecMode::kGraph;
  expect_goldens("--exec=graph");
  if (!g_jailed) {  // these run the plugin's code here
    way.executor.mode = ExecMode::kEager;
    expect_goldens("--exec=eager");
    way.executor.mode = ExecMode::kShadow;
    expect_goldens("--exec=shadow");
  }
  way.executor.deterministic = true;
  expect_goldens("--deterministic");
  way.executor.tensor_parallel = 2;
  expect_goldens("--tensor-parallel-size 2");
  way.executor.pipeline_parallel = 2;
  expect_goldens("--pipeline-parallel-size 2");
  way.executor.tensor_parallel = way.executor.pipeline_parallel = 2;
  expect_goldens("--tensor-parallel-size 2 --pipeline-parallel-size 2");
}

// The goldens' items, all of a modality in one call of its encoder.
TEST(VisionTest, ItemsEncodedTogetherHaveTheFeaturesOfEachAlone) {
  KEEL_ASSERT_OK_AND_ASSIGN(Model model, LoadModel(Options()));
  std::map<std::string, std::vector<NamedTensors>> inputs;  // by modality
  for (const auto& [name, chat] : Goldens::Get().chats()) {
    for (const auto& item : chat.media) {
      KEEL_ASSERT_OK_AND_ASSIGN(NamedTensors made, model.processor->Preprocess(*item, ""));
      inputs[ModalityName(item->modality)].push_back(std::move(made));
    }
  }
  for (const auto& [modality, all] : inputs) {
    SCOPED_TRACE(modality);
    ASSERT_EQ(model.executor->EncodesTogether(modality),
              !g_jailed);  // what is not trusted does not
    if (g_jailed) continue;
    std::vector<const NamedTensors*> items;
    for (const NamedTensors& item : all) items.push_back(&item);
    items.push_back(&all[0]);  // there may be one alone
    KEEL_ASSERT_OK_AND_ASSIGN(const FeatureList together,
                              model.executor->EncodeAll(modality, items));
    ASSERT_EQ(together.size(), items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      KEEL_ASSERT_OK_AND_ASSIGN(const auto alone, model.executor->Encode(modality, *items[i]));
      ASSERT_EQ(together[i]->num_rows(), alone->num_rows()) << i;
      EXPECT_LE(Difference(together[i]->rows(), alone->rows()), 1e-5) << i;
    }
  }
}

// Blocks of 2 layers x 2 heads x 16 x (keys, values) in f32 for little more than one of eight chats.
TEST(VisionTest, WhatIsPreemptedIsComputedAnew) {
  size_t longest = 0;
  for (const auto& [name, chat] : Goldens::Get().chats())
    longest = std::max(longest, chat.ids.size() + chat.greedy.size());
  const auto blocks = static_cast<int64_t>(std::max<size_t>(12, (longest + 15) / 16 + 2));
  EngineOptions options = Options();
  options.cache.memory_bytes = blocks * 16 * 2 * 2 * 16 * 2 * 4;
  options.cache.enable_prefix_caching = false;
  options.cache.max_model_len = (blocks - 2) * 16;
  options.media_cache_bytes = 0;
  const auto engine = Start(options);
  ExpectGoldens(*engine, 6);  // so many that some wait, however quick the machine is
  EXPECT_GT(engine->metrics().num_preemptions.Value(), 0);
}

TEST(VisionTest, ForksOfOnePromptSeeItsImages) {
  const auto engine = Start(Options());
  const Chat& chat = Goldens::Get().chat("two");
  Request request = GreedyRequest(chat);
  request.n = 3;
  Answer answer(*engine, request);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(answer.tokens(i), chat.greedy);
}

TEST(VisionTest, PrefixesAreSharedByWhatTheImagesAre) {
  const auto engine = Start(Options());
  const int32_t group = LongestGroup();
  for (const char* name : {"clip", "clip_and_image", "two"}) {
    if (!Goldens::Get().chats().contains(name)) continue;
    const Chat& chat = Goldens::Get().chat(name);
    EXPECT_EQ(Answer(*engine, GreedyRequest(chat)).tokens(), chat.greedy);
    Answer again(*engine, GreedyRequest(chat));
    EXPECT_EQ(again.tokens(), chat.greedy);
    // A prompt that is one group is computed again whole.
    const auto size = static_cast<int32_t>(chat.ids.size());
    EXPECT_GE(again.cached(), group >= size ? 0 : size / 16 * 16 - 16) << name;
  }
  const Chat& chat = Goldens::Get().chat("two");
  // Another image of the same size in the first's place: the same tokens, and nothing of it is shared.
  Request other = GreedyRequest(chat);
  MediaItem changed = *chat.media[0];
  for (uint8_t& value : changed.rgb) value = static_cast<uint8_t>(255 - value);
  std::reverse(changed.samples.begin(), changed.samples.end());
  other.media[0] = std::make_shared<const MediaItem>(std::move(changed));
  Answer different(*engine, other);
  EXPECT_EQ(different.prompt(), chat.ids);
  EXPECT_LT(different.cached(), 16);
  EXPECT_NE(different.tokens(), chat.greedy);
}

TEST(VisionTest, RefusesPromptsAndMediaThatDoNotMatch) {
  const auto engine = Start(Options());
  const Chat& two = Goldens::Get().chat("two");
  Request request = GreedyRequest(two);
  request.media.pop_back();
  EXPECT_THAT(
      Answer(*engine, request).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the prompt has 2 placeholders ")));
  request = GreedyRequest(Goldens::Get().chat("text"));
  request.media = {two.media[0]};
  EXPECT_THAT(Answer(*engine, request).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 0 placeholders")));
  request = GreedyRequest(Goldens::Get().chat("one"));
  const bool hears = Goldens::Get().hears();
  MediaItem cut = *Goldens::Get().chat("one").media[0];
  if (hears)
    cut.samples.pop_back();
  else
    cut.rgb.pop_back();
  request.media = {std::make_shared<const MediaItem>(std::move(cut))};
  EXPECT_THAT(
      Answer(*engine, request).status(),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          HasSubstr(hears ? "media 0: audio of 5000 samples has 4999, expected 5000"
                          : "media 0: image of 56x84 pixels has 14111 bytes, expected 14112")));
  MediaItem other;
  other.modality = hears ? KEEL_MODALITY_IMAGE : KEEL_MODALITY_AUDIO;
  request.media = {std::make_shared<const MediaItem>(std::move(other))};
  EXPECT_THAT(
      Answer(*engine, request).status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr(hears ? "media 0 is an image, which" : "media 0 is audio, which")));
  if (hears) {
    MediaItem faster = *Goldens::Get().chat("one").media[0];
    faster.rate = 44100;
    request.media = {std::make_shared<const MediaItem>(std::move(faster))};
    EXPECT_THAT(
        Answer(*engine, request).status(),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("media 0 is audio of 44100 samples a second, expected 16000: ")));
  }
  request = GreedyRequest(Goldens::Get().chat("one"));
  request.mm_processor_kwargs = R"({"do_pan": true})";  // nobody's
  EXPECT_THAT(Answer(*engine, request).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("do_pan")));
  // The engine goes on.
  const Chat& one = Goldens::Get().chat("one");
  EXPECT_EQ(Answer(*engine, GreedyRequest(one)).tokens(), one.greedy);
}

// A copy of g_dir that brings g_plugin.
std::string WithItsPlugin() {
  namespace fs = std::filesystem;
  const fs::path dir = fs::path(::testing::TempDir()) / "with_its_plugin";
  fs::remove_all(dir);
  fs::create_directories(dir);
  const auto copy = [&dir](const fs::path& from) {
    fs::copy_file(fs::canonical(from), dir / from.filename());
    fs::permissions(dir / from.filename(), fs::perms(0644));
  };
  for (const auto& file : fs::directory_iterator(g_dir)) copy(file.path());
  copy(g_plugin);
  const std::string library = fs::path(g_plugin).filename(), bytes = ReadFile(g_plugin).value();
  const std::string config = ReadFile((dir / "config.json").string()).value();
  const boost::json::value architectures = ParseJson(config, "config.json")->at("architectures");
  const boost::json::value artifact = {
      {"kind", "so"},
      {"os", "linux"},
      {"arch", kThisArch},
      {"path", library},
      {"sha256", Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()})}};
  std::ofstream(dir / "keel_plugin.json")
      << boost::json::object{{"id", "org.example.jailed"},
                             {"version", "1.0"},
                             {"architectures", architectures},
                             {"artifacts", boost::json::array{artifact}}};
  return dir.string();
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  keel::g_jailed = argc == 4 && std::strcmp(argv[3], "--jailed") == 0;
  if (argc != 3 && !keel::g_jailed) {
    std::fprintf(stderr, "usage: %s plugin.so testdata-dir [--jailed]\n", argv[0]);
    return 2;
  }
  keel::g_plugin = argv[1];
  keel::g_dir = argv[2];
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  if (keel::g_jailed) return 0;  // a build with a sanitizer can't jail
#endif
  if (keel::g_jailed) keel::g_dir = keel::WithItsPlugin();
  return RUN_ALL_TESTS();
}
