#include "core/plugin/manifest.h"

#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>

#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/plugin/sealed_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::string Artifact(const std::string& kind, const std::string& path,
                     const std::string& platform = "") {
  return R"({"kind": ")" + kind + R"(", "path": ")" + path + R"(", "sha256": ")" +
         std::string(64, 'a') + "\"" + platform + "}";
}

std::string Platform(const std::string& os, const std::string& arch) {
  return R"(, "os": ")" + os + R"(", "arch": ")" + arch + "\"";
}

std::string Manifest(const std::string& artifacts) {
  return R"({"id": "org.example.foo", "version": "1.0", "architectures": ["FooForCausalLM"],)"
         R"( "min_host_minor": 7, "artifacts": [)" +
         artifacts + "]}";
}

TEST(ManifestTest, NamesAGraphAndLibrariesByPlatform) {
  const std::string text =
      Manifest(Artifact("so", "libfoo-arm.so", Platform("linux", "m68k")) + "," +
               Artifact("so", "libfoo.so", Platform("linux", kThisArch)) + "," +
               Artifact("graph", "foo.graph") + "," + Artifact("wasm", "foo.wasm"));
  KEEL_ASSERT_OK_AND_ASSIGN(const PluginManifest manifest, ParsePluginManifest(text, "m"));
  EXPECT_EQ(manifest.version, "1.0");
  EXPECT_THAT(manifest.architectures, ElementsAre("FooForCausalLM"));
  const auto paths = [&](bool prefer_code) {
    const auto artifacts = ArtifactsForThisMachine(manifest, prefer_code);
    std::vector<std::string> out;
    for (const PluginArtifact& artifact : *artifacts) out.push_back(artifact.path);
    return out;
  };
  EXPECT_THAT(paths(/*prefer_code=*/false), ElementsAre("foo.graph", "libfoo.so"));
  EXPECT_THAT(paths(/*prefer_code=*/true), ElementsAre("libfoo.so"));
}

TEST(ManifestTest, AnotherPlatformIsNamed) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const PluginManifest manifest,
      ParsePluginManifest(Manifest(Artifact("so", "libfoo.dylib", Platform("macos", "arm64"))),
                          "m"));
  EXPECT_THAT(ArtifactsForThisMachine(manifest, false),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("only: so macos arm64")));
}

TEST(ManifestTest, RefusesWhatANameCannotBe) {
  EXPECT_THAT(ParsePluginManifest(Manifest(Artifact("so", "a\\nb")), "m"), StatusIs(kInvalid));
  std::string text = Manifest("");
  text.replace(text.find("FooForCausalLM"), 3, "F o");
  EXPECT_THAT(ParsePluginManifest(text, "m"), StatusIs(kInvalid, HasSubstr("F oForCausalLM")));
  text = Manifest(Artifact("so", "x.so"));
  text.replace(text.find("aaaa"), 4, "AAAA");
  EXPECT_THAT(ParsePluginManifest(text, "m"), StatusIs(kInvalid, HasSubstr("sha256 of x.so")));
  EXPECT_THAT(ParsePluginManifest(R"({"id": "a", "id": "b"})", "m"), StatusIs(kInvalid));
}

TEST(ManifestTest, DamagedOnesAreRefusedOrNameFilesOfTheCheckpoint) {
  const std::string text = Manifest(Artifact("graph", "foo.graph") + "," +
                                    Artifact("so", "libfoo.so", Platform("linux", kThisArch)));
  std::mt19937 random(20261129);
  int parsed = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto manifest = ParsePluginManifest(testing::Mutate(text, random), "m");
    if (!manifest.ok()) continue;
    ++parsed;
    for (const PluginArtifact& artifact : manifest->artifacts) {
      EXPECT_EQ(std::filesystem::path(artifact.path).filename(), artifact.path);
      EXPECT_NE(artifact.path, "..");
    }
    (void)ArtifactsForThisMachine(*manifest, round % 2 == 0);
  }
  EXPECT_GT(parsed, 100);
}

TEST(ResolveInCheckpointTest, LinksStayInTheCheckpointOrInItsCache) {
  const testing::ScratchDir dir;
  dir.Write("outside/secret", "s");
  dir.Write("repo/blobs/abc", "a");
  dir.Write("repo/snapshots/1/config.json", "{}");
  const std::string checkpoint = dir.path() + "/repo/snapshots/1";
  ASSERT_EQ(symlink("../../blobs/abc", (checkpoint + "/foo.graph").c_str()), 0);
  ASSERT_EQ(symlink("../../../outside/secret", (checkpoint + "/bar.graph").c_str()), 0);
  ASSERT_EQ(symlink("config.json", (checkpoint + "/own.json").c_str()), 0);
  EXPECT_THAT(ResolveInCheckpoint(checkpoint, "foo.graph").value_or(""),
              ::testing::EndsWith("/repo/blobs/abc"));
  KEEL_EXPECT_OK(ResolveInCheckpoint(checkpoint, "own.json").status());
  EXPECT_THAT(ResolveInCheckpoint(checkpoint, "bar.graph"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("a link that leads out of the checkpoint")));
  EXPECT_THAT(ResolveInCheckpoint(checkpoint, "none"), StatusIs(absl::StatusCode::kNotFound));
  // A folder that only looks like the cache's is none.
  dir.Write("blobs/x", "x");
  dir.Write("plain/config.json", "{}");
  ASSERT_EQ(symlink("../blobs/x", (dir.path() + "/plain/x").c_str()), 0);
  EXPECT_FALSE(ResolveInCheckpoint(dir.path() + "/plain", "x").ok());
}

}  // namespace
}  // namespace keel
