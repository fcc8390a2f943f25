#include "apps/server/form_data.h"

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "apps/testing/mutate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kType[] = "multipart/form-data; boundary=XX";
const char kBody[] =
    "--XX\r\n"
    "Content-Disposition: form-data; name=\"purpose\"\r\n\r\n"
    "batch\r\n"
    "--XX\r\n"
    "Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".jsonl\"\r\n"
    "Content-Type: application/octet-stream\r\n\r\n"
    "{}\r\n--X\r\n\r\n{}\n\r\n"
    "--XX\r\n"
    "content-disposition:form-data;name=empty\r\n\r\n"
    "\r\n"
    "--XX--\r\n";

// "name|filename|content" of each field, or the error.
std::vector<std::string> Parse(const std::string& body, const std::string& type = kType) {
  std::vector<FormField> fields;
  if (const MaybeError error = ParseFormData(type, body, &fields)) return {error->message};
  std::vector<std::string> all;
  for (const FormField& field : fields)
    all.push_back(field.name + "|" + field.filename + "|" + std::string(field.content));
  return all;
}

TEST(FormDataTest, FieldsAndFilesAreRead) {
  const std::vector<std::string> expected = {"purpose||batch",
                                             "file|a \"b\".jsonl|{}\r\n--X\r\n\r\n{}\n", "empty||"};
  EXPECT_EQ(Parse(kBody), expected);
  EXPECT_EQ(Parse(kBody, "Multipart/Form-Data; charset=utf-8; Boundary=\"XX\""), expected);
  EXPECT_EQ(Parse("before\r\n" + std::string(kBody) + "behind"), expected);
  EXPECT_THAT(Parse("--XX--\r\n"), ElementsAre());
}

TEST(FormDataTest, ANameBecomesUtf8) {
  EXPECT_THAT(Parse("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\xff.jsonl\""
                    "\r\n\r\n\xff\r\n--XX--\r\n"),
              ElementsAre("file|\uFFFD.jsonl|\xff"));
  EXPECT_THAT(Parse("", "text/\xff"), ElementsAre(HasSubstr("text/\uFFFD'")));
}

TEST(FormDataTest, OtherBodiesAreRefused) {
  EXPECT_THAT(Parse(kBody, "application/json"),
              ElementsAre(HasSubstr("type 'application/json', expected multipart/form-data")));
  EXPECT_THAT(Parse(kBody, "multipart/form-data"), ElementsAre(HasSubstr("with a boundary")));
  EXPECT_THAT(Parse(""), ElementsAre("the body has no part"));
  const std::string body = kBody;
  EXPECT_THAT(Parse(body.substr(0, body.size() - 10)), ElementsAre("the body ends within a part"));
  EXPECT_THAT(Parse("--XX\r\nContent-Type: x\r\n\r\nx\r\n--XX--"),
              ElementsAre(HasSubstr("without Content-Disposition")));
  std::string many;
  for (int i = 0; i < 101; ++i) many += "--XX\r\nContent-Disposition: a; name=b\r\n\r\n\r\n";
  EXPECT_THAT(Parse(many + "--XX--"), ElementsAre("the body has more than 100 parts"));
}

// Bytes from outside: whatever they are, they are read or refused in words.
TEST(FormDataTest, DamagedBodiesAreReadOrRefused) {
  std::mt19937 random(20261);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  for (int i = 0; i < 100'000 && std::chrono::steady_clock::now() < end; ++i) {
    const bool is_type = i % 4 == 0;
    const std::string type = is_type ? Mutate(kType, random) : kType;
    const std::string body = is_type ? kBody : Mutate(kBody, random);
    std::vector<FormField> fields;
    const MaybeError error = ParseFormData(type, body, &fields);
    if (error.has_value()) {
      EXPECT_FALSE(error->message.empty());
    }
  }
}

}  // namespace
}  // namespace keel::apps
