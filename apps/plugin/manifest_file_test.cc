#include "apps/plugin/manifest_file.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

namespace json = boost::json;

const json::object kExported = {
    {"plugin", "org.example.foo 1.0"}, {"architecture", "FooForCausalLM"}, {"sha256", "abc"}};

class ManifestFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = ::testing::TempDir() + "/" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_);
    path_ = dir_ + "/keel_plugin.json";
  }
  json::value Written() {
    std::ifstream file(path_);
    return json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  }
  std::string dir_, path_;
};

TEST_F(ManifestFileTest, MakesOne) {
  const Result<std::string> path = AddToManifest(dir_ + "/keel.graph", kExported);
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_EQ(*path, path_);
  EXPECT_EQ(Written(), json::parse(R"({"id": "org.example.foo", "version": "1.0",
      "architectures": ["FooForCausalLM"],
      "artifacts": [{"kind": "graph", "path": "keel.graph", "sha256": "abc"}]})"));
}

TEST_F(ManifestFileTest, KeepsWhatIsThereButAnOlderGraph) {
  std::ofstream(path_) << R"({"id": "org.example.bar", "later": 1, "artifacts": [
      {"kind": "graph", "path": "old.graph"}, {"kind": "so", "path": "libbar.so"}]})";
  ASSERT_TRUE(AddToManifest(dir_ + "/keel.graph", kExported).ok());
  EXPECT_EQ(Written(), json::parse(R"({"id": "org.example.bar", "later": 1, "artifacts": [
      {"kind": "graph", "path": "keel.graph", "sha256": "abc"},
      {"kind": "so", "path": "libbar.so"}]})"));
}

TEST_F(ManifestFileTest, LeavesWhatItCannotRead) {
  std::ofstream(path_) << "[";
  const Result<std::string> path = AddToManifest(dir_ + "/keel.graph", kExported);
  ASSERT_FALSE(path.ok());
  EXPECT_NE(std::string(path.status().message()).find("is no JSON object"), std::string::npos);
}

}  // namespace
}  // namespace keel::apps
