// --trace: a run leaves a file in Chrome's trace format.
#include <boost/json/parse.hpp>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

TEST(EngineTraceTest, HasTheStepsTheirPartsAndTheRequests) {
  const std::string path = ::testing::TempDir() + "/trace.json";
  {
    const std::unique_ptr<Engine> engine = StartEngine({{"trace", path}});
    ASSERT_NE(engine, nullptr);
    Ask(*engine, Asked(Prompt(1, 30), 12).Int("n", 2).Draws(1));
    Ask(*engine, Asked(Prompt(2, 30), 12));
  }
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  boost::system::error_code error;
  const boost::json::value trace = boost::json::parse(text, error);
  ASSERT_FALSE(error) << error.message() << " in " << text.substr(0, 200);
  const boost::json::array& events =
      trace.is_array() ? trace.as_array() : trace.at("traceEvents").as_array();
  std::map<std::string, int> spans, bars;
  for (const boost::json::value& event : events) {
    const std::string phase(event.at("ph").as_string());
    const std::string name(event.at("name").as_string());
    if (phase == "X") {
      ++spans[name];
      EXPECT_GE(event.at("dur").to_number<double>(), 0);
    }
    if (phase == "b" || phase == "e") ++bars[phase + " " + name];
  }
  // A prompt and eleven steps, twice.
  for (const char* part : {"step", "schedule", "prepare", "forward", "sample", "output"})
    EXPECT_EQ(spans[part], 24) << part;
  EXPECT_EQ(bars["b request"], 2);
  EXPECT_EQ(bars["e request"], 2);
}

}  // namespace
}  // namespace keel
