// What the host answers to plugins of checkpoints that mean harm, with --trust-remote-code: each by
// name, and the process goes on. The plugins are the C files beside this.
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/model/model.h"
#include "core/plugin/manifest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Mode = RemoteCodePolicy::Mode;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasSanitizer = true;
#else
constexpr bool kHasSanitizer = false;
#endif

struct Hostile {
  const char* plugin;
  const char* answer;
};

std::string FileOf(const std::string& plugin) { return absl::StrCat("lib", plugin, ".so"); }

// A checkpoint with `plugin`, without weights: a model that is recorded comes to look for them.
void WriteCheckpoint(const testing::ScratchDir& dir, const std::string& plugin) {
  const std::string bytes =
      ReadFile(absl::StrCat("tests/plugins/hostile/", FileOf(plugin))).value();
  dir.Write(FileOf(plugin), bytes);
  dir.Write("config.json",
            R"({"architectures": ["HostileForCausalLM"], "hidden_size": 8, "vocab_size": 16,)"
            R"( "auto_map": {"AutoModelForCausalLM": "modeling_hostile.HostileForCausalLM",)"
            R"( "KeelPlugin": "keel_plugin.json"}})");
  dir.Write(
      "keel_plugin.json",
      absl::StrCat(R"({"id": "org.keel.test.hostile", "version": "1.0",)",
                   R"( "architectures": ["HostileForCausalLM"], "artifacts": [{"kind": "so",)",
                   R"( "os": "linux", "arch": ")", kThisArch, R"(", "path": ")", FileOf(plugin),
                   R"(", "sha256": ")", Sha256Hex(testing::AsBytes(bytes)), R"("}]})"));
  dir.Write("model.safetensors", testing::SafetensorsBytes({{"unread", DType::kF32, {1}}}));
}

absl::Status Load(const testing::ScratchDir& dir, Mode mode = Mode::kJailed) {
  EngineOptions options;
  options.model.name = dir.path();
  options.model.remote_code.mode = mode;
  return LoadModel(options).status();
}

absl::Status LoadPlugin(const std::string& plugin) {
  const testing::ScratchDir dir;
  WriteCheckpoint(dir, plugin);
  return Load(dir);
}

auto IsRecorded() {
  return StatusIs(absl::StatusCode::kNotFound, HasSubstr("embed_tokens.weight"));
}

class HostileTest : public ::testing::TestWithParam<Hostile> {
 protected:
  void SetUp() override {
    if (kHasSanitizer) GTEST_SKIP() << "a build with a sanitizer can't jail";
  }
};

TEST_P(HostileTest, IsAnsweredByNameAndTheNextModelLoads) {
  const absl::Status status = LoadPlugin(GetParam().plugin);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(FileOf(GetParam().plugin)), HasSubstr(GetParam().answer)));
  EXPECT_THAT(LoadPlugin("tame"), IsRecorded());
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileTest,
    ::testing::Values(
        Hostile{"opens_socket", "in its jail, it calls socket, which a jail does not allow"},
        Hostile{"starts_program", "it calls execve, which a jail does not allow"},
        Hostile{"forks", "it calls clone, which a jail does not allow"},
        Hostile{"writes_file", "it calls openat, which a jail does not allow"},
        Hostile{"reads_file", "/etc/passwd: Permission denied"},
        Hostile{"loops", "in its jail, it takes "},
        Hostile{"hides", "it closes its channel to the host"},
        Hostile{"crashes", "it crashes (Segmentation fault)"},
        Hostile{"recurses", "it crashes (Segmentation fault)"},
        Hostile{"exits", "it ends its process with status 0"},
        Hostile{"says_nan", "eps is nan, expected 0 < eps < 1"},
        Hostile{"odd_shape", "'model.norm': size is "}, Hostile{"mixes_rows", "cumsum"},
        Hostile{"declares_tebi", "size is 1099511627776, expected 1 to 2^30"},
        Hostile{"allocates_tebi", "it crashes (Segmentation fault)"},
        Hostile{"eats_memory", "it aborts"},
        Hostile{"forges_answer", "what it recorded in its jail: "},
        Hostile{"floods", "it answers what is no answer: a message of 4294967295 bytes"}),
    [](const auto& info) { return std::string(info.param.plugin); });

class UnaskedTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteCheckpoint(dir_, "opens_socket"); }
  testing::ScratchDir dir_;
};

TEST_F(UnaskedTest, NoCodeOfACheckpointRuns) {
  EXPECT_THAT(Load(dir_, Mode::kNone),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("libopens_socket.so (the checkpoint) serves it"),
                             HasSubstr("--trust-remote-code is not given"))));
  EXPECT_THAT(Load(dir_, Mode::kFull),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("which is not pinned")));
}

TEST_F(UnaskedTest, FilesAreRefusedBeforeTheyAreMapped) {
  const std::string library = dir_.path() + "/libopens_socket.so";
  chmod(library.c_str(), 0666);
  EXPECT_THAT(Load(dir_), StatusIs(absl::StatusCode::kPermissionDenied,
                                   HasSubstr("the file can be written by everybody")));
  chmod(library.c_str(), 0644);
  std::ofstream(library, std::ios::app) << "x";
  EXPECT_THAT(Load(dir_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("the checkpoint is damaged")));
  std::filesystem::remove(library);
  std::filesystem::create_symlink(std::filesystem::absolute("tests/plugins/hostile/libtame.so"),
                                  library);
  EXPECT_THAT(Load(dir_), StatusIs(absl::StatusCode::kNotFound,
                                   HasSubstr("a link that leads out of the checkpoint")));
}

}  // namespace
}  // namespace keel
