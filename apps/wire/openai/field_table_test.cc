#include "apps/wire/openai/field_table.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

// The message of the error, or "".
std::string Check(const char* body, OpenAiEndpoint endpoint = OpenAiEndpoint::kChat) {
  const boost::json::value value = boost::json::parse(body);
  Fields fields(value.get_object());
  CheckFieldNames(fields, endpoint);
  return fields.ok() ? "" : fields.error()->message;
}

TEST(FieldTableTest, AMisspeltFieldIsNotIgnored) {
  EXPECT_EQ(Check(R"({"max_token": 5})"),
            "there is no field 'max_token'; did you mean 'max_tokens'?");
  EXPECT_EQ(Check(R"({"temprature": 0})"),
            "there is no field 'temprature'; did you mean 'temperature'?");
  EXPECT_EQ(Check(R"({"message": []})"), "there is no field 'message'; did you mean 'messages'?");
  EXPECT_EQ(Check(R"({"message": ""})", OpenAiEndpoint::kCompletions), "");
  EXPECT_EQ(Check(R"({"promt": ""})", OpenAiEndpoint::kCompletions),
            "there is no field 'promt'; did you mean 'prompt'?");
}

TEST(FieldTableTest, WhatNobodyKnowsIsIgnored) {
  EXPECT_EQ(Check(R"({"x-trace": 1, "user": "u", "store": true, "max_tokens": 5})"), "");
}

TEST(FieldTableTest, WhatIsNotServedIsRefused) {
  EXPECT_EQ(Check(R"({"audio": {}})"), "audio output is not served");
  EXPECT_EQ(Check(R"({"audio": null, "suffix": false})"), "");
  EXPECT_EQ(Check(R"({"max_new_tokens": 3})"), "use max_tokens");
}

TEST(FieldTableTest, AFieldIsOneRowForEachEndpoint) {
  std::set<std::string> seen;
  for (const FieldInfo& field : OpenAiFields()) {
    EXPECT_TRUE(field.chat || field.completions) << field.name;
    const std::string name(field.name);
    EXPECT_TRUE(!field.chat || seen.insert("chat " + name).second) << name;
    EXPECT_TRUE(!field.completions || seen.insert("text " + name).second) << name;
  }
}

// The table of the page is this one: what is missing is printed as it should stand there.
TEST(FieldTableTest, ThePageHasEveryField) {
  std::ifstream file("docs/server.md");
  std::stringstream page;
  page << file.rdbuf();
  for (const FieldInfo& field : OpenAiFields()) {
    std::string row = "| `" + std::string(field.name) + "` | ";
    switch (field.use) {
      case FieldInfo::Use::kServed:
        row += field.chat && field.completions ? "both" : field.chat ? "chat" : "completions";
        row += " | " + std::string(field.type) + " | ";
        break;
      case FieldInfo::Use::kRefused:
        row += "refused | | ";
        break;
      case FieldInfo::Use::kIgnored:
        row += "ignored | |";
    }
    EXPECT_THAT(page.str(), HasSubstr(row + std::string(field.words))) << field.name;
  }
}

}  // namespace
}  // namespace keel::apps
