#include "core/remote/plugin_tools.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/graph/graph_file.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kKeys[] = "core/plugin/testdata/minisign/";

std::string Text(const boost::json::object& answer, const char* field) {
  return std::string(answer.at(field).as_string());
}

class PluginToolsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    library_ = dir_.Write("libminimal.so", ReadFile("tests/plugins/libminimal.so").value());
    trust_file_ = dir_.path() + "/trust";
  }
  bool Verified() {
    const auto answer = VerifyPlugin(library_, trust_file_);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() && answer->at("verified").as_bool();
  }

  testing::ScratchDir dir_;
  std::string library_, trust_file_;
};

TEST_F(PluginToolsTest, SaysWhatALibraryProvides) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto answer, InspectPluginFile(library_));
  EXPECT_EQ(Text(answer, "kind"), "library");
  EXPECT_EQ(Text(answer, "id"), "org.keel.test.minimal");
  EXPECT_EQ(answer.at("architectures").as_array().at(0).as_string(), "MinimalForCausalLM");
  EXPECT_TRUE(answer.at("signed_as").is_null());
}

TEST_F(PluginToolsTest, SaysWhatAGraphHolds) {
  KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel model, testing::RecordTinyModel());
  model.graph.mutable_provenance()->set_recorded_by("keel 0.1.0");
  const std::string path = dir_.Write("tiny.graph", SerializeGraphFile(model.graph));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto answer, InspectPluginFile(path));
  EXPECT_EQ(Text(answer, "kind"), "graph");
  EXPECT_EQ(Text(answer.at("provenance").as_object(), "recorded_by"), "keel 0.1.0");
  EXPECT_EQ(answer.at("functions").as_object().at("forward").as_int64(),
            model.graph.functions(0).nodes_size());
  EXPECT_THAT(Text(answer, "text"), HasSubstr("architecture: "));
}

TEST_F(PluginToolsTest, RefusesWhatBreaksARuleByName) {
  EXPECT_THAT(InspectPluginFile(dir_.Write("x", "no graph")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("graph file x")));
  EXPECT_THAT(InspectPluginFile(dir_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("it brings no plugin")));
  EXPECT_THAT(InspectPluginFile("/none"), StatusIs(absl::StatusCode::kNotFound));
  chmod(library_.c_str(), 0666);
  EXPECT_THAT(InspectPluginFile(library_),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("written by everybody")));
}

TEST_F(PluginToolsTest, APinVerifies) {
  std::ofstream(trust_file_).flush();
  chmod(trust_file_.c_str(), 0644);
  EXPECT_FALSE(Verified());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto pinned, PinPlugin(library_, trust_file_, ""));
  EXPECT_EQ(Text(pinned, "trust_file"), trust_file_);
  EXPECT_TRUE(Verified());
  EXPECT_THAT(std::string(ReadFile(trust_file_).value()), HasSubstr("org.keel.test.minimal 1.0\n"));
  std::ofstream(library_, std::ios::app) << "x";
  EXPECT_FALSE(Verified());
}

TEST_F(PluginToolsTest, ASignatureVerifies) {
  const std::string pub = ReadFile(absl::StrCat(kKeys, "plain.pub")).value();
  std::ofstream(trust_file_) << "key " << pub.substr(pub.find('\n') + 1, 56) << " org.keel.*\n";
  chmod(trust_file_.c_str(), 0644);
  EXPECT_FALSE(Verified());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto answer,
                            SignPlugin(library_, absl::StrCat(kKeys, "plain.key"), ""));
  EXPECT_EQ(Text(answer, "signature"), library_ + ".minisig");
  EXPECT_TRUE(Verified());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto inspected, InspectPluginFile(library_));
  EXPECT_EQ(Text(inspected, "signed_as"), Text(answer, "signed_as"));
  EXPECT_THAT(SignPlugin(library_, library_, ""),
              StatusIs(absl::StatusCode::kResourceExhausted));  // no key is that large
}

}  // namespace
}  // namespace keel
