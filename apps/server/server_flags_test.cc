#include "apps/server/server_flags.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The flags of a command line in order; an error is FinishServerFlags'.
Result<ServerFlags> Read(std::vector<std::string> arguments) {
  ServerFlags flags;
  CLI::App app;
  AddServerFlags(app, &flags);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  app.parse(arguments);
  if (Status status = FinishServerFlags(&flags); !status.ok()) return status;
  return flags;
}

TEST(ServerFlagsTest, NamesOfOtherServersMeanTheSame) {
  const auto flags =
      Read({"--hostname=0.0.0.0", "-p", "80", "--payload-limit=9", "--shutdown-timeout=7",
            "--cors-allow-origin=a", R"(--allowed-origins=["b","c"])"});
  ASSERT_TRUE(flags.ok()) << flags.status().message();
  EXPECT_EQ(flags->server.http.host, "0.0.0.0");
  EXPECT_EQ(flags->server.http.port, 80);
  EXPECT_EQ(flags->server.http.max_body_bytes, 9U);
  EXPECT_EQ(flags->drain_seconds, 7);
  EXPECT_THAT(flags->server.router.allowed_origins, ElementsAre("a", "b", "c"));
  EXPECT_EQ(Read({"--graceful-termination-timeout", "8"})->drain_seconds, 8);
}

TEST(ServerFlagsTest, OperationsHaveTheirFlags) {
  const auto flags = Read({"--log-format=json", "--metrics-dialect=tgi", "--idle-timeout-seconds=3",
                           "--max-connections=5", "--ssl-certfile=c.pem"});
  ASSERT_TRUE(flags.ok()) << flags.status().message();
  EXPECT_EQ(flags->log_format, LogFormat::kJson);
  EXPECT_EQ(flags->server.metrics_dialect, MetricsDialect::kTgi);
  EXPECT_EQ(flags->server.http.header_timeout, std::chrono::seconds(3));
  EXPECT_EQ(flags->server.http.max_connections, 5U);
  EXPECT_EQ(Read({"--ssl-keyfile=k.pem"}).status().message(),
            "--ssl-keyfile is set without --ssl-certfile");
}

TEST(ServerFlagsTest, AWrongListIsRefused) {
  EXPECT_THAT(Read({R"(--allowed-origins=["b")"}).status().message(),
              HasSubstr("--allowed-origin is '[\"b\"', expected a text or a JSON list of texts"));
}

}  // namespace
}  // namespace keel::apps
