#include "core/model/options.h"

#include "core/base/error_detail.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OptionsTest, FlagsWriteIntoTheirParts) {
  EngineOptions options;
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, const char*>>{{"model", "org/name"},
                                                        {"dtype", "half"},
                                                        {"model-impl", "native"},
                                                        {"plugin-path", "a.so"},
                                                        {"plugin-path", "b.so"},
                                                        {"graph-dir", "graphs"},
                                                        {"trust-file", "trust"},
                                                        {"trust-remote-code", "true"},
                                                        {"chat-template", "mine.jinja"},
                                                        {"chat-template-content-format", "openai"},
                                                        {"max-model-len", "32K"},
                                                        {"exec", "shadow"},
                                                        {"deterministic", "TRUE"},
                                                        {"quantize", "int4-g64"},
                                                        {"weight-cache", "/tmp/packed"},
                                                        {"tensor-parallel-size", "2"},
                                                        {"pipeline-parallel-size", "3"},
                                                        {"enable-expert-parallel", "true"},
                                                        {"kv-cache-memory-bytes", "1.5GiB"},
                                                        {"block-size", "32"},
                                                        {"kv-cache-dtype", "fp8"},
                                                        {"max-num-seqs", "7"},
                                                        {"max-queued-requests", "9"},
                                                        {"spec-method", "ngram"},
                                                        {"spec-tokens", "3"}}) {
    KEEL_ASSERT_OK(SetEngineFlag(options, name, value));
  }
  EXPECT_EQ(options.model.name, "org/name");
  EXPECT_EQ(options.model.dtype, DType::kF16);
  EXPECT_EQ(options.model.impl, ModelImpl::kNative);
  EXPECT_THAT(options.model.plugin_paths, ElementsAre("a.so", "b.so"));
  EXPECT_EQ(options.model.graph_dir, "graphs");
  EXPECT_EQ(options.model.remote_code.mode, RemoteCodePolicy::Mode::kJailed);
  EXPECT_EQ(options.model.remote_code.trust_file, "trust");
  EXPECT_EQ(options.model.chat_template, "mine.jinja");
  EXPECT_EQ(options.model.content_format, ContentFormat::kParts);
  EXPECT_EQ(options.cache.max_model_len, 32768);
  EXPECT_EQ(options.executor.mode, ExecMode::kShadow);
  EXPECT_TRUE(options.executor.deterministic);
  EXPECT_EQ(options.executor.quantization, Quantization::kInt4Group64);
  EXPECT_EQ(options.model.weight_cache, "/tmp/packed");
  EXPECT_EQ(options.executor.tensor_parallel, 2);
  EXPECT_EQ(options.executor.pipeline_parallel, 3);
  EXPECT_TRUE(options.executor.expert_parallel);
  EXPECT_EQ(options.cache.memory_bytes, int64_t{3} << 29);
  EXPECT_EQ(options.cache.block_size, 32);
  EXPECT_EQ(options.executor.kv_dtype, DType::kF8E4M3FN);
  EXPECT_EQ(options.scheduler.max_num_seqs, 7);
  EXPECT_EQ(options.max_queued_requests, 9);
  EXPECT_EQ(options.speculation.num_drafts(), 3);
}

TEST(OptionsTest, DefaultsOfTheTableAreThoseOfTheStructs) {
  for (const EngineFlag& flag : EngineFlags()) {
    if (flag.default_value[0] == '\0') continue;
    EngineOptions options;
    KEEL_ASSERT_OK(SetEngineFlag(options, flag.name, flag.default_value)) << flag.name;
    const EngineOptions fresh;
    const auto numbers = [](const EngineOptions& o) {
      return std::vector<double>{static_cast<double>(o.cache.max_model_len),
                                 static_cast<double>(o.cache.memory_bytes),
                                 o.cache.memory_share,
                                 static_cast<double>(o.cache.block_size),
                                 static_cast<double>(o.cache.enable_prefix_caching),
                                 static_cast<double>(o.executor.mode),
                                 static_cast<double>(o.executor.tensor_parallel),
                                 static_cast<double>(o.executor.pipeline_parallel),
                                 static_cast<double>(o.executor.expert_parallel),
                                 static_cast<double>(o.executor.deterministic),
                                 static_cast<double>(o.executor.quantization),
                                 static_cast<double>(o.model.impl),
                                 static_cast<double>(o.model.remote_code.mode),
                                 static_cast<double>(o.scheduler.max_num_seqs),
                                 static_cast<double>(o.scheduler.max_num_batched_tokens),
                                 o.scheduler.max_decode_slowdown,
                                 static_cast<double>(o.scheduler.max_prefill_beside_decodes),
                                 static_cast<double>(o.max_queued_requests),
                                 static_cast<double>(o.speculation.method),
                                 static_cast<double>(o.speculation.max_drafts),
                                 static_cast<double>(o.speculation.max_ngram),
                                 static_cast<double>(o.speculation.min_ngram)};
    };
    EXPECT_EQ(numbers(options), numbers(fresh)) << flag.name;
    EXPECT_EQ(options.model.dtype, fresh.model.dtype) << flag.name;
    EXPECT_EQ(options.executor.kv_dtype, fresh.executor.kv_dtype) << flag.name;
    EXPECT_EQ(options.model.weight_cache, fresh.model.weight_cache) << flag.name;
  }
}

TEST(OptionsTest, ARefusedValueChangesNothingAndIsNamed) {
  EngineOptions options;
  for (const EngineFlag& flag : EngineFlags()) {
    if (absl::string_view(flag.value_name) == "FILE" || absl::string_view(flag.name) == "model" ||
        absl::string_view(flag.name) == "plugin-path" ||
        absl::string_view(flag.name) == "graph-dir" ||
        absl::string_view(flag.name) == "allowed-local-media-path" ||
        absl::string_view(flag.name) == "weight-cache" ||
        absl::string_view(flag.name) == "disable-pass" ||
        absl::string_view(flag.name) == "attention-implementation") {
      continue;  // any text will do
    }
    const absl::Status status = SetEngineFlag(options, flag.name, "-x");
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr(flag.name), HasSubstr("-x"))));
    EXPECT_EQ(DetailOf(status, ErrorDetail::kFlag), flag.name);
  }
  EXPECT_EQ(options.cache.block_size, 16);
  EXPECT_EQ(options.scheduler.max_num_seqs, 64);
}

TEST(OptionsTest, LimitsOfMediaHaveTwoForms) {
  for (const char* value : {"image=4,video=0", "{\"image\": 4, \"video\": 0}"}) {
    EngineOptions options;
    KEEL_ASSERT_OK(SetEngineFlag(options, "limit-mm-per-prompt", value));
    EXPECT_EQ(options.media.limits, (std::map<std::string, int64_t>{{"image", 4}, {"video", 0}}));
  }
  EngineOptions options;
  for (const char* value : {"image", "image=", "image=-1", "picture=1", "image=1,"}) {
    EXPECT_THAT(SetEngineFlag(options, "limit-mm-per-prompt", value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("image=4,video=0")));
  }
}

TEST(OptionsTest, FramesAreSoManyOrSoManyASecond) {
  EngineOptions options;
  KEEL_ASSERT_OK(SetEngineFlag(options, "media-io-kwargs", R"({"video": {"num_frames": 8}})"));
  EXPECT_EQ(options.media.video_frames, 8);
  KEEL_ASSERT_OK(SetEngineFlag(options, "media-io-kwargs", R"({"video": {"fps": 0.5}})"));
  EXPECT_EQ(options.media.video_fps, 0.5);
  for (const char* value : {"{}", "[]", R"({"video": {}})", R"({"video": {"num_frames": 0}})",
                            R"({"video": {"num_frames": 1.5}})", R"({"video": {"rate": 1}})",
                            R"({"video": {"fps": 2}, "image": {}})"}) {
    EXPECT_THAT(SetEngineFlag(options, "media-io-kwargs", value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("num_frames")));
  }
}

TEST(OptionsTest, HostsOfMediaComeOneByOneOrAsAList) {
  EngineOptions options;
  KEEL_ASSERT_OK(SetEngineFlag(options, "allowed-media-domains", "a.org,b.org"));
  KEEL_ASSERT_OK(SetEngineFlag(options, "allowed-media-domains", "c.org"));
  EXPECT_EQ(options.media.allowed_domains, (std::vector<std::string>{"a.org", "b.org", "c.org"}));
  EXPECT_THAT(SetEngineFlag(options, "allowed-media-domains", "https://d.org"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("names of hosts")));
}

TEST(OptionsTest, AnUnknownFlagSuggestsTheNearest) {
  EngineOptions options;
  EXPECT_THAT(
      SetEngineFlag(options, "max-num-seq", "3"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean 'max-num-seqs'")));
}

}  // namespace
}  // namespace keel
