#include "core/checkpoint/checkpoint.h"

#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Optional;
using testing::SafetensorsBytes;
using testing::ScratchDir;
using testing::StatusIs;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

constexpr char kFirst[] = "model-00001-of-00002.safetensors";
constexpr char kSecond[] = "model-00002-of-00002.safetensors";
constexpr char kIndexText[] =
    R"({"metadata": {"total_size": 14}, "weight_map": {
        "b": "model-00002-of-00002.safetensors", "a": "model-00001-of-00002.safetensors"}})";

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() { dir_.Write("config.json", R"({"model_type": "llama", "eos_token_id": 2})"); }

  void WriteSingleFile() {
    dir_.Write("model.safetensors",
               SafetensorsBytes({{"b", DType::kF32, {2}}, {"a", DType::kBF16, {3}}}));
  }
  void WriteShards() {
    dir_.Write(kFirst, SafetensorsBytes({{"a", DType::kBF16, {3}}}));
    dir_.Write(kSecond, SafetensorsBytes({{"b", DType::kF32, {2}}}));
    dir_.Write("model.safetensors.index.json", kIndexText);
  }
  absl::StatusOr<std::unique_ptr<Checkpoint>> Open() { return Checkpoint::Open(dir_.path()); }

  const ScratchDir dir_;
};

TEST_F(CheckpointTest, ReadsASingleFile) {
  WriteSingleFile();
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  KEEL_ASSERT_OK_AND_ASSIGN(const TensorView* a, checkpoint->Find("a"));
  EXPECT_EQ(a->ToString(), "bfloat16 [3]");
  EXPECT_THAT(a->span(), ElementsAre(8, 9, 10, 11, 12, 13));
  EXPECT_EQ(checkpoint->config().at("model_type").as_string(), "llama");
  EXPECT_EQ(checkpoint->mapped_bytes(), checkpoint->weight_bytes());
}

TEST_F(CheckpointTest, MapsAShardWhenItsFirstTensorIsAskedFor) {
  WriteShards();
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  EXPECT_TRUE(checkpoint->Contains("b"));
  EXPECT_FALSE(checkpoint->Contains("c"));
  EXPECT_EQ(checkpoint->mapped_bytes(), 0);
  KEEL_ASSERT_OK_AND_ASSIGN(const TensorView* b, checkpoint->Find("b"));
  EXPECT_EQ(b->elements(), 2);
  EXPECT_GT(checkpoint->mapped_bytes(), 0);
  EXPECT_LT(checkpoint->mapped_bytes(), checkpoint->weight_bytes());
}

TEST_F(CheckpointTest, IsIdentifiedByTheFileThatItHasMapped) {
  WriteSingleFile();
  const std::filesystem::path path = dir_.path() + "/model.safetensors";
  const auto changed = std::filesystem::last_write_time(path);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  // Another of its name, size, header and time of change takes its place.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // times go by ticks
  std::filesystem::remove(path);
  WriteSingleFile();
  std::filesystem::last_write_time(path, changed);
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string identity, checkpoint->Identity());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto other, Open());
  EXPECT_THAT(other->Identity(), IsOkAndHolds(::testing::Ne(identity)));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto again, Open());
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string same, other->Identity());
  EXPECT_THAT(again->Identity(), IsOkAndHolds(same));
}

TEST_F(CheckpointTest, ThreadsFindTheSameTensors) {
  WriteShards();
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  std::vector<const TensorView*> found(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = checkpoint->Find("a").value_or(nullptr); });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_NE(found[0], nullptr);
  EXPECT_THAT(found, ::testing::Each(found[0]));
}

TEST_F(CheckpointTest, AMissingTensorIsNamed) {
  WriteSingleFile();
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(
      checkpoint->Find("lm_head.weight"),
      StatusIs(kNotFound, absl::StrCat(dir_.path(), ": no tensor lm_head.weight in the weights")));
}

TEST_F(CheckpointTest, ACorruptWeightFileIsNamedWithItsTensor) {
  const std::string bytes = SafetensorsBytes({{"a", DType::kF32, {4}}});
  const std::string path =
      dir_.Write("model.safetensors", absl::string_view(bytes).substr(0, bytes.size() - 1));
  EXPECT_THAT(Open(), StatusIs(kInvalid, HasSubstr(path + ": tensor a: its data ends at byte 16")));
}

TEST_F(CheckpointTest, RefusesAnIndexWhoseShardIsMissing) {
  WriteShards();
  std::filesystem::remove(JoinPath(dir_.path(), kSecond));
  EXPECT_THAT(Open(),
              StatusIs(kNotFound, AllOf(HasSubstr("index.json: tensor b: "), HasSubstr(kSecond))));
}

TEST_F(CheckpointTest, NamesTheShardThatLacksATensor) {
  WriteShards();
  dir_.Write(kSecond, SafetensorsBytes({{"c", DType::kF32, {2}}}));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->Find("b"),
              StatusIs(kNotFound, AllOf(HasSubstr(kSecond), HasSubstr("no tensor b, which model."
                                                                      "safetensors.index.json"))));
}

TEST_F(CheckpointTest, RefusesShardsThatLieElsewhere) {
  WriteShards();
  for (const char* shard :
       {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", "a\\\\b", "x\\u0000y"}) {
    dir_.Write("model.safetensors.index.json",
               absl::StrCat(R"({"weight_map": {"a": ")", shard, "\"}}"));
    EXPECT_THAT(Open(), StatusIs(kInvalid, AllOf(HasSubstr("tensor a: shard"),
                                                 HasSubstr("no plain file name"))))
        << shard;
  }
}

TEST_F(CheckpointTest, RefusesAMalformedIndex) {
  const auto refusal = [&](absl::string_view text) {
    dir_.Write("model.safetensors.index.json", text);
    return Open().status();
  };
  EXPECT_THAT(refusal("{}"), StatusIs(kInvalid, EndsWith("index.json: weight_map is missing")));
  EXPECT_THAT(refusal(R"({"weight_map": []})"),
              StatusIs(kInvalid, HasSubstr("expected an object")));
  EXPECT_THAT(refusal(R"({"weight_map": {"a": 1}})"),
              StatusIs(kInvalid, HasSubstr("tensor a: the document is 1 (an integer)")));
  EXPECT_THAT(refusal("{\n\"weight_map\": }"), StatusIs(kInvalid, HasSubstr("index.json:2:15: ")));
}

TEST_F(CheckpointTest, FollowsTheLinksOfASnapshot) {
  WriteSingleFile();
  const ScratchDir snapshot;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(JoinPath(dir_.path(), name), JoinPath(snapshot.path(), name));
  }
  EXPECT_THAT(Checkpoint::Open(snapshot.path()), IsOk());
}

TEST_F(CheckpointTest, SaysWhatWasLookedFor) {
  EXPECT_THAT(Open(), StatusIs(kNotFound, absl::StrCat(dir_.path(),
                                                       ": has no weights; looked for model."
                                                       "safetensors and model.safetensors.index."
                                                       "json")));
  std::filesystem::remove(JoinPath(dir_.path(), "config.json"));
  EXPECT_THAT(Open(), StatusIs(kNotFound, HasSubstr("has no config.json")));
  EXPECT_THAT(Checkpoint::Open(JoinPath(dir_.path(), "none")),
              StatusIs(kNotFound, HasSubstr("is no directory")));
}

TEST_F(CheckpointTest, RefusesPickledWeightsWithAdvice) {
  dir_.Write("pytorch_model.bin", "x");
  EXPECT_THAT(Open(), StatusIs(kUnimplemented, AllOf(HasSubstr("has only pytorch_model.bin"),
                                                     HasSubstr("safe_serialization=True"))));
}

TEST_F(CheckpointTest, RefusesAMalformedConfig) {
  WriteSingleFile();
  dir_.Write("config.json", "{\"a\": }");
  EXPECT_THAT(Open(), StatusIs(kInvalid, HasSubstr("config.json:1:7: ")));
  dir_.Write("config.json", "[]");
  EXPECT_THAT(Open(),
              StatusIs(kInvalid, HasSubstr("config.json: is an array, expected an object")));
}

TEST_F(CheckpointTest, RefusesAQuantizationByName) {
  WriteSingleFile();
  dir_.Write("config.json", R"({"quantization_config": {"quant_method": "awq", "bits": 4}})");
  EXPECT_THAT(Open(), StatusIs(kUnimplemented, HasSubstr("quant_method 'awq' is not served yet")));
}

TEST(CheckQuantizationServedTest, LooksAtEveryPlaceOfAQuantization) {
  const auto check = [](absl::string_view text) {
    return CheckQuantizationServed(*ParseJson(text, "c"), "c");
  };
  EXPECT_THAT(check("{}"), IsOk());
  EXPECT_THAT(check(R"({"quantization_config": null})"), IsOk());
  EXPECT_THAT(check(R"({"quantization_config": {}})"), IsOk());
  EXPECT_THAT(check(R"({"quantization_config": {"load_in_8bit": true}})"),
              StatusIs(kUnimplemented, HasSubstr("names no quant_method")));
  EXPECT_THAT(check(R"({"text_config": {"quantization_config": {"quant_method": "fp8"}}})"),
              StatusIs(kUnimplemented, HasSubstr("text_config/quantization_config: quant_method "
                                                 "'fp8'")));
  EXPECT_THAT(check(R"({"quantization_config": "awq"})"), StatusIs(kInvalid));
}

TEST_F(CheckpointTest, GenerationConfigIsOptionalAndOverridesTokenIds) {
  WriteSingleFile();
  KEEL_ASSERT_OK_AND_ASSIGN(const auto without, Open());
  EXPECT_THAT(without->generation_config().eos_token_ids, ElementsAre(2));
  dir_.Write("generation_config.json", R"({"eos_token_id": [7, 8], "top_p": 0.5})");
  KEEL_ASSERT_OK_AND_ASSIGN(const auto with, Open());
  EXPECT_THAT(with->generation_config().eos_token_ids, ElementsAre(7, 8));
  EXPECT_EQ(with->generation_config().top_p, 0.5);
  dir_.Write("generation_config.json", R"({"top_p": []})");
  EXPECT_THAT(Open(), StatusIs(kInvalid, HasSubstr("generation_config.json: top_p is []")));
}

TEST_F(CheckpointTest, ReadsTextFilesOfTheDirectoryOnly) {
  WriteSingleFile();
  dir_.Write("chat_template.jinja", "{{ x }}");
  KEEL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->ReadText("chat_template.jinja"),
              IsOkAndHolds(Optional(std::string("{{ x }}"))));
  EXPECT_THAT(checkpoint->ReadText("tokenizer.json"), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(checkpoint->ReadText("../config.json"), StatusIs(kInvalid));
  EXPECT_THAT(checkpoint->ReadText("chat_template.jinja", 3),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(CheckpointTest, MutatedIndexesNeverGiveAForeignTensor) {
  WriteShards();
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    dir_.Write("model.safetensors.index.json", testing::Mutate(kIndexText, random));
    const absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Open();
    if (!checkpoint.ok()) {
      EXPECT_THAT(checkpoint, StatusIs(checkpoint.status().code(), HasSubstr("index.json")));
      continue;
    }
    for (const std::string& name : (*checkpoint)->names()) {
      const absl::StatusOr<const TensorView*> tensor = (*checkpoint)->Find(name);
      if (tensor.ok()) {
        EXPECT_EQ((*tensor)->name, name);
      } else {
        EXPECT_THAT(tensor, StatusIs(kNotFound, HasSubstr(".safetensors")));
      }
    }
  }
}

}  // namespace
}  // namespace keel
