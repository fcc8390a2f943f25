// A key that config.json leaves out means what it means to transformers: the recorded model is that
// of a config that says transformers' default, or the plugin asks for the key by name.
#include "tests/parity/config_defaults.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

namespace json = boost::json;

// The object that holds the last part of `path`.
json::object& HolderOf(json::value& config, const std::vector<std::string>& path) {
  json::object* at = &config.as_object();
  for (size_t i = 0; i + 1 < path.size(); ++i) at = &at->at(path[i]).as_object();
  return *at;
}

class ConfigDefaultsTest : public ::testing::Test {
 public:
  ConfigDefaultsTest(std::string plugin, std::string testdata)
      : plugin_(std::move(plugin)), testdata_(std::move(testdata)) {}

  void TestBody() override {
    KEEL_ASSERT_OK_AND_ASSIGN(const json::value config, Read("/default/config.json"));
    KEEL_ASSERT_OK_AND_ASSIGN(const json::value golden, Read("/config_defaults.json"));
    for (const auto& [key, value] : golden.at("defaults").as_object()) {
      SCOPED_TRACE(std::string(key) + " left out");
      const std::vector<std::string> path = absl::StrSplit(std::string(key), '/');
      json::value absent = config;
      HolderOf(absent, path).erase(path.back());
      ExpectSame(absent, config, path, value);
    }
    for (const auto& [key, value] : golden.at("nulls").as_object()) {
      SCOPED_TRACE(std::string(key) + " null");
      const std::vector<std::string> path = absl::StrSplit(std::string(key), '/');
      json::value null = config;
      HolderOf(null, path)[path.back()] = nullptr;
      ExpectSame(null, config, path, value);
    }
  }

 private:
  // The model of `config` is that of `whole` with `value` at `path`; or the plugin asks for it.
  void ExpectSame(const json::value& config, json::value whole,
                  const std::vector<std::string>& path, const json::value& value) const {
    HolderOf(whole, path)[path.back()] = value;
    const absl::StatusOr<Recording> silent = RecordPlugin(plugin_, config);
    const absl::StatusOr<Recording> stated = RecordPlugin(plugin_, whole);
    if (absl::StrContains(silent.status().message(), absl::StrCat(path.back(), " is missing")))
      return;
    EXPECT_EQ(silent.ok(), stated.ok()) << silent.status() << "\n" << stated.status();
    // Transformers' default may not go with the rest of this config.
    if (!silent.ok() || !stated.ok()) return;
    EXPECT_EQ(GraphText(silent->model.graph), GraphText(stated->model.graph))
        << "transformers has " << json::serialize(value);
  }

  absl::StatusOr<json::value> Read(const std::string& name) const {
    const absl::StatusOr<std::string> text = ReadFile(testdata_ + name);
    if (!text.ok()) return text.status();
    return ParseJson(*text, name);
  }

  const std::string plugin_, testdata_;
};

}  // namespace

void RegisterConfigDefaultsTest(const std::string& plugin, const std::string& testdata) {
  ::testing::RegisterTest(
      "ConfigDefaultsTest", "AbsentKeysMeanWhatTransformersTakes", nullptr, nullptr, __FILE__,
      __LINE__, [=]() -> ConfigDefaultsTest* { return new ConfigDefaultsTest(plugin, testdata); });
}

}  // namespace keel
