// All third-party libraries in one process, so that a clash between two of them (libtorch brings
// its own protobuf, for one) shows here and not in a program.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <histedit.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <re2/re2.h>
#include <seccomp.h>
#include <sodium.h>
#include <sqlite3.h>
#include <yaml-cpp/yaml.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http.hpp>
#include <boost/dll/shared_library.hpp>
#include <boost/json.hpp>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "third_party/smoke.pb.h"

namespace keel {
namespace {

using ::testing::HasSubstr;

TEST(ThirdPartyTest, LibtorchMultipliesBfloat16) {
  const at::Tensor x = at::ones({2, 64}, at::kBFloat16);
  const at::Tensor weight = at::full({3, 64}, 0.5, at::kBFloat16);
  const at::Tensor y = at::linear(x, weight);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(y, at::full({2, 3}, 32, at::kBFloat16)));
  EXPECT_FALSE(at::globalContext().hasCUDA());
}

TEST(ThirdPartyTest, LibtorchErrorsAreCaught) {
  const at::Tensor x = at::ones({2, 64});
  EXPECT_THROW(at::linear(x, at::ones({3, 63})), c10::Error);
}

TEST(ThirdPartyTest, CurlParsesUrls) {
  CURLU* const url = curl_url();
  ASSERT_EQ(curl_url_set(url, CURLUPART_URL, "https://example.com:8443/a.png", 0), CURLUE_OK);
  char* host = nullptr;
  ASSERT_EQ(curl_url_get(url, CURLUPART_HOST, &host, 0), CURLUE_OK);
  EXPECT_STREQ(host, "example.com");
  curl_free(host);
  curl_url_cleanup(url);
}

TEST(ThirdPartyTest, AbseilHashesAndFormats) {
  absl::flat_hash_map<std::string, int> layers = {{"llama", 16}};
  EXPECT_EQ(absl::StrFormat("%s has %d", "llama", layers["llama"]), "llama has 16");
  const absl::StatusOr<int> missing = absl::NotFoundError("lm_head");
  EXPECT_THAT(missing.status().ToString(), HasSubstr("lm_head"));
}

TEST(ThirdPartyTest, ProtobufWritesAndReadsText) {
  smoke::Shape shape;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("name: 'x' dims: 2 dims: 64", &shape));
  EXPECT_EQ(shape.dims_size(), 2);
  smoke::Shape copy;
  ASSERT_TRUE(copy.ParseFromString(shape.SerializeAsString()));
  EXPECT_EQ(copy.name(), "x");
}

TEST(ThirdPartyTest, Re2Extracts) {
  int layer = 0;
  EXPECT_TRUE(RE2::FullMatch("model.layers.12.mlp", R"(model\.layers\.(\d+)\.\w+)", &layer));
  EXPECT_EQ(layer, 12);
}

TEST(ThirdPartyTest, BoostParsesJsonAndHttpAndRunsTasks) {
  EXPECT_EQ(boost::json::parse(R"({"a": [1, 2]})").at("a").at(1).as_int64(), 2);

  boost::beast::http::request_parser<boost::beast::http::string_body> parser;
  boost::beast::error_code error;
  parser.put(boost::asio::buffer("GET / HTTP/1.1\r\n\r\n", 18), error);
  EXPECT_FALSE(error) << error.message();

  boost::asio::io_context io;
  bool ran = false;
  boost::asio::post(io, [&ran] { ran = true; });
  io.run();
  EXPECT_TRUE(ran);
}

TEST(ThirdPartyTest, BoostDllFindsASymbol) {
  boost::dll::shared_library math("libm.so.6", boost::dll::load_mode::search_system_folders);
  EXPECT_TRUE(math.has("cos"));
}

TEST(ThirdPartyTest, PrometheusWritesItsText) {
  prometheus::Registry registry;
  auto& family =
      prometheus::BuildCounter().Name("keel_requests_total").Help("served").Register(registry);
  family.Add({{"model", "demo"}}).Increment();
  EXPECT_THAT(prometheus::TextSerializer().Serialize(registry.Collect()),
              HasSubstr("keel_requests_total{model=\"demo\"} 1"));
}

TEST(ThirdPartyTest, Cli11ParsesFlags) {
  CLI::App app;
  int port = 0;
  app.add_option("--port", port);
  app.parse("--port 8000", false);
  EXPECT_EQ(port, 8000);
}

TEST(ThirdPartyTest, SodiumSignsAndVerifies) {
  ASSERT_GE(sodium_init(), 0);
  unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
  crypto_sign_keypair(public_key, secret_key);
  unsigned char message[] = "keel", signature[crypto_sign_BYTES];
  crypto_sign_detached(signature, nullptr, message, sizeof(message), secret_key);
  EXPECT_EQ(crypto_sign_verify_detached(signature, message, sizeof(message), public_key), 0);
  message[0] ^= 1;
  EXPECT_NE(crypto_sign_verify_detached(signature, message, sizeof(message), public_key), 0);
}

TEST(ThirdPartyTest, SqliteCounts) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &database), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(database, "SELECT 1 + 2", -1, &statement, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_step(statement), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int(statement, 0), 3);
  sqlite3_finalize(statement);
  sqlite3_close(database);
}

TEST(ThirdPartyTest, SeccompBuildsAFilter) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  ASSERT_NE(filter, nullptr);
  EXPECT_EQ(seccomp_rule_add(filter, SCMP_ACT_ERRNO(1), SCMP_SYS(ptrace), 0), 0);
  seccomp_release(filter);
}

TEST(ThirdPartyTest, LibeditKeepsHistory) {
  History* const lines = history_init();
  ASSERT_NE(lines, nullptr);
  HistEvent event;
  EXPECT_GE(history(lines, &event, H_SETSIZE, 10), 0);
  EXPECT_GE(history(lines, &event, H_ENTER, "first"), 0);
  EXPECT_GE(history(lines, &event, H_FIRST), 0);
  EXPECT_STREQ(event.str, "first");
  history_end(lines);
}

TEST(ThirdPartyTest, YamlCppReadsAList) {
  EXPECT_EQ(YAML::Load("ports: [80, 8000]")["ports"][1].as<int>(), 8000);
}

TEST(ThirdPartyTest, ZlibSums) {
  EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>("keel"), 4), 0xdff11444u);
}

}  // namespace
}  // namespace keel
