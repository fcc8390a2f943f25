#include "apps/server/metrics_text.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(MetricsTextTest, OneTextStaysAsItIs) {
  const std::string text =
      "# HELP a words\n# TYPE a gauge\na{m=\"x\"} 1\n# TYPE b counter\nb_total 2\n";
  EXPECT_EQ(JoinMetrics({text}), text);
  EXPECT_EQ(JoinMetrics({}), "");
}

TEST(MetricsTextTest, SamplesOfOneMetricStandTogether) {
  EXPECT_EQ(
      JoinMetrics({"# TYPE a gauge\na{m=\"x\"} 1\n# TYPE b gauge\nb 2\n",
                   "# TYPE a gauge\na{m=\"y\"} 3", "# TYPE c gauge\nc 4\n"}),
      "# TYPE a gauge\na{m=\"x\"} 1\na{m=\"y\"} 3\n# TYPE b gauge\nb 2\n# TYPE c gauge\nc 4\n");
}

}  // namespace
}  // namespace keel::apps
