// Every filter, test, global, operator and method of Jinja2 and Python's types, over values of every
// type, against what Jinja2 itself makes of them (tests/goldens/make_jinja.py).
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_matchers.h"
#include "core/text/keel_text_status.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "third_party/text/keel_text.h"

namespace keel {
namespace {

namespace json = boost::json;
using ::keel::testing::ReadJsonTestData;
using ::testing::ElementsAre;

constexpr uint64_t kFuel = 1'000'000;
constexpr size_t kMaxOutput = 1 << 20;

std::string Text(const json::value& value) { return json::value_to<std::string>(value); }

struct Outcome {
  bool compiles = false;
  bool renders = false;
  std::string text;  // or what is wrong
};

Outcome Render(const std::string& source, const std::string& context) {
  Outcome outcome;
  keel_text_template* chat_template = nullptr;
  keel_text_error error = {};
  outcome.compiles = keel_text_template_new(source.data(), source.size(), kFuel, kMaxOutput,
                                            &chat_template, &error) == KEEL_TEXT_OK;
  outcome.renders = outcome.compiles && keel_text_template_render(
                                            chat_template, context.data(), context.size(), nullptr,
                                            AppendBytes, &outcome.text, &error) == KEEL_TEXT_OK;
  keel_text_template_free(chat_template);
  if (!outcome.renders) outcome.text = error.message;
  return outcome;
}

// Python's integers have no end, it has complex numbers, and 1 and true are one key. The last two
// are syntax errors, when the template is loaded.
const std::set<std::string>& Different() {
  static const auto* templates = new std::set<std::string>{
      "{{ 10 ** 40 }}", "{{ 2 ** 127 }}",
      "{{ neg ** x }}", "{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}",
      "{{ +i }}",       "{{ 1, 2 }}",
  };
  return *templates;
}

TEST(JinjaTest, WritesWhatJinja2WritesOrRefusesAtLoadByName) {
  const json::value golden = ReadJsonTestData("jinja.json");
  const std::string context = json::serialize(golden.at("context"));
  std::set<std::string> missing;
  for (const json::value& item : golden.at("cases").as_array()) {
    const json::array& fields = item.get_array();
    const std::string source = Text(fields[0]);
    if (Different().count(source) > 0) continue;
    const Outcome outcome = Render(source, context);
    if (fields.size() == 1) {
      EXPECT_FALSE(outcome.renders) << source << " renders " << outcome.text;
    } else if (outcome.compiles) {
      EXPECT_TRUE(outcome.renders) << source << ": " << outcome.text;
      EXPECT_EQ(outcome.text, Text(fields[1])) << source;
    } else {
      absl::string_view what = outcome.text;
      EXPECT_TRUE(absl::ConsumePrefix(&what, "line 1: ")) << source << ": " << what;
      EXPECT_TRUE(absl::ConsumeSuffix(&what, " is not supported")) << source << ": " << what;
      missing.insert(std::string(what));
    }
  }
  EXPECT_THAT(missing,
              ElementsAre("an escape of this string", "autoescape", "the filter pprint",
                          "the filter striptags", "the filter urlize", "the filter wordwrap",
                          "the method as_integer_ratio", "the method bit_count",
                          "the method bit_length", "the method conjugate", "the method encode",
                          "the method fromhex", "the method hex", "the method maketrans",
                          "the method to_bytes", "the method translate", "varargs of a macro"));
}

TEST(JinjaTest, RefusesWhatIsNotTheSameTwice) {
  for (const char* source : {"{{ [1] | random }}", "{{ lipsum() }}"}) {
    const Outcome outcome = Render(source, "{}");
    EXPECT_FALSE(outcome.compiles) << source;
    EXPECT_THAT(outcome.text, ::testing::EndsWith("is not supported"));
  }
}

TEST(JinjaTest, NoOperatorMakesMoreThanTheLimits) {
  const std::string doubled =
      "{% set ns = namespace(s='x') %}{% for i in range(60) %}"
      "{% set ns.s = ns.s OP ns.s %}{% endfor %}";
  for (const std::string op : {"~", "+"}) {
    std::string source = doubled;
    source.replace(source.find("OP"), 2, op);
    const Outcome outcome = Render(source, "{}");
    EXPECT_FALSE(outcome.renders);
    EXPECT_THAT(outcome.text, ::testing::HasSubstr("more than 16777216 bytes or items"));
  }
  for (const char* source : {"{{ 'x' * 99999999999 }}", "{{ [1] * 99999999999 }}",
                             "{{ '%999999999d' % 1 }}", "{{ '{:999999999}'.format(1) }}",
                             "{{ range(99999999) }}", "{{ 'x'.center(99999999999) | length }}"}) {
    const Outcome outcome = Render(source, "{}");
    EXPECT_LT(outcome.text.size(), 200u) << source;
  }
}

}  // namespace
}  // namespace keel
