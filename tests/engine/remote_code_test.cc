// The tiers of docs/security.md, as an application sees them: the tiny Llama, whose checkpoint brings
// its plugin, is served alike by the code in a jail, by its graph, and by the code in the process.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/keel/models.h"
#include "sdk/keel/plugin_files.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

using ::testing::HasSubstr;

constexpr char kLibrary[] = "plugins/llama/libllama.so";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasSanitizer = true;
#else
constexpr bool kHasSanitizer = false;
#endif

#if defined(__x86_64__)
constexpr char kArch[] = "x86_64";
#else
constexpr char kArch[] = "aarch64";
#endif

class RemoteCodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) /
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    for (const auto& file : fs::directory_iterator(kTinyLlama)) Copy(file.path());
    Copy(kLibrary);
    WriteManifest({{"kind", "so"},
                   {"os", "linux"},
                   {"arch", kArch},
                   {"path", "libllama.so"},
                   {"sha256", Sha256("libllama.so")}});
  }

  std::string Path(const std::string& name) const { return (dir_ / name).string(); }

  void Copy(const fs::path& from) {
    fs::copy_file(fs::canonical(from), dir_ / from.filename());
    fs::permissions(dir_ / from.filename(), fs::perms(0644));
  }

  std::string Sha256(const std::string& name) {
    const Result<std::string> answer = InspectPlugin(Path(name));
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    if (!answer.ok()) return "";
    return std::string(json::parse(*answer).as_object().at("sha256").as_string());
  }

  void WriteManifest(const json::object& artifact) {
    const json::object manifest = {{"id", "org.keel.llama"},
                                   {"version", "0.1.0"},
                                   {"architectures", json::array{"LlamaForCausalLM"}},
                                   {"artifacts", json::array{artifact}}};
    std::ofstream(Path("keel_plugin.json")) << json::serialize(manifest);
  }

  // The in-tree Llama is left out.
  Flags Remote(Flags flags = {}) {
    flags["model"] = dir_.string();
    flags["model-impl"] = "plugin";
    return flags;
  }

  // The message of a model that is not to load.
  std::string Refusal(const Flags& flags) {
    Options options;
    for (const auto& [name, value] : flags) {
      if (Status status = options.Set(name, value); !status.ok())
        return std::string(status.message());
    }
    return std::string(Engine::Create(options).status().message());
  }

  void ExpectServedAlike(const Flags& flags, const std::string& how) {
    const std::unique_ptr<Engine> in_tree = StartEngine(), remote = StartEngine(flags);
    ASSERT_NE(remote, nullptr);
    const Asked request(Prompt(1, 20), 24);
    EXPECT_EQ(Ask(*remote, request)[0].tokens, Ask(*in_tree, request)[0].tokens);
    EXPECT_THAT(std::string(remote->info()), HasSubstr(how));
  }

  void Export(const std::string& name) {
    Options options;
    for (const auto& [flag, value] : Remote({{"trust-remote-code", "true"}}))
      ASSERT_TRUE(options.Set(flag, value).ok());
    const Result<std::string> answer = ExportGraph(options, Path(name));
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    WriteManifest({{"kind", "graph"},
                   {"path", name},
                   {"sha256", json::parse(*answer).as_object().at("sha256")}});
  }

  fs::path dir_;
};

TEST_F(RemoteCodeTest, TheCodeInAJail) {
  if (kHasSanitizer) GTEST_SKIP() << "a build with a sanitizer can't jail";
  ExpectServedAlike(Remote({{"trust-remote-code", "true"}}),
                    "(libllama.so, the checkpoint, jailed)");
  EXPECT_THAT(Refusal(Remote({{"trust-remote-code", "true"}, {"exec", "eager"}})),
              HasSubstr("--exec=eager runs a plugin's code op by op"));
}

TEST_F(RemoteCodeTest, ItsGraphIsDataAndNeedsNoLeave) {
  if (kHasSanitizer) GTEST_SKIP() << "a build with a sanitizer can't jail";
  EXPECT_THAT(Refusal(Remote()), HasSubstr("comes with the checkpoint and is not run unasked"));
  Export("llama.graph");
  fs::remove(Path("libllama.so"));
  ExpectServedAlike(Remote(), "(llama.graph, the checkpoint, data)");
}

TEST_F(RemoteCodeTest, AGraphServesTheConfigThatItWasRecordedForAlone) {
  if (kHasSanitizer) GTEST_SKIP() << "a build with a sanitizer can't jail";
  Export("llama.graph");
  std::ofstream(Path("config.json"), std::ios::app) << "\n";
  EXPECT_THAT(Refusal(Remote()), HasSubstr("graph file llama.graph: was made for a config.json"));
}

TEST_F(RemoteCodeTest, ADamagedGraphIsRefusedByName) {
  std::ofstream(Path("llama.graph")) << "no graph";
  WriteManifest({{"kind", "graph"}, {"path", "llama.graph"}, {"sha256", std::string(64, '0')}});
  EXPECT_THAT(Refusal(Remote()), HasSubstr("graph file llama.graph: has sha256"));
}

TEST_F(RemoteCodeTest, TheCodeInTheProcessIfItIsPinned) {
  const std::string trust = Path("trust");
  std::ofstream(trust) << "# none\n";
  chmod(trust.c_str(), 0644);
  const Flags flags = Remote({{"trust-remote-code", "full"}, {"trust-file", trust}});
  EXPECT_THAT(Refusal(flags), HasSubstr("pin it (keel-plugin pin) or start with"));
  const Result<std::string> pinned = PinPlugin(Path("libllama.so"), trust);
  ASSERT_TRUE(pinned.ok()) << pinned.status().message();
  ExpectServedAlike(flags, "(libllama.so, the checkpoint)");
}

// A server's answer to a model that means harm, and its life after.
TEST_F(RemoteCodeTest, AHostileModelIsRefusedWhileOthersServe) {
  if (kHasSanitizer) GTEST_SKIP() << "a build with a sanitizer can't jail";
  Result<Models> models = Models::Create(int64_t{1} << 30);
  ASSERT_TRUE(models.ok());
  Options good, hostile;
  ASSERT_TRUE(good.Set("model", kTinyLlama).ok());
  fs::copy_file("tests/plugins/hostile/libcrashes.so", dir_ / "libcrashes.so");
  fs::permissions(dir_ / "libcrashes.so", fs::perms(0644));
  std::ofstream(Path("config.json"))
      << R"({"architectures": ["HostileForCausalLM"], "hidden_size": 8, "vocab_size": 16})";
  WriteManifest({{"kind", "so"},
                 {"os", "linux"},
                 {"arch", kArch},
                 {"path", "libcrashes.so"},
                 {"sha256", Sha256("libcrashes.so")}});
  ASSERT_TRUE(hostile.Set("model", dir_.string()).ok());
  ASSERT_TRUE(hostile.Set("trust-remote-code", "true").ok());
  ASSERT_TRUE(models->Add("good", good).ok());
  ASSERT_TRUE(models->Add("hostile", hostile).ok());

  Result<Lease> lease = models->Acquire("good");
  ASSERT_TRUE(lease.ok()) << lease.status().message();
  const Asked request(Prompt(1, 20), 24);
  const Answer before = Ask(lease->engine(), request);
  EXPECT_THAT(std::string(models->Load("hostile").message()),
              HasSubstr("libcrashes.so: in its jail, it crashes (Segmentation fault)"));
  EXPECT_EQ(Ask(lease->engine(), request)[0].tokens, before[0].tokens);
}

}  // namespace
}  // namespace keel
