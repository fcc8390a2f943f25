#include "core/media/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

#include "gtest/gtest.h"

namespace keel {
namespace {

bool IsPublic(const std::string& text) {
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return IsPublicAddress(reinterpret_cast<const sockaddr&>(v4));
  }
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
  v6.sin6_family = AF_INET6;
  return IsPublicAddress(reinterpret_cast<const sockaddr&>(v6));
}

TEST(AddressTest, ThePublicInternetIsPublic) {
  for (const char* address : {"1.1.1.1", "8.8.8.8", "11.0.0.0", "100.128.0.0", "172.15.255.255",
                              "172.32.0.0", "192.167.255.255", "223.255.255.255", "2606:4700::1111",
                              "2a00:1450:4001::1", "2001:4860:4860::8888"}) {
    EXPECT_TRUE(IsPublic(address)) << address;
  }
}

TEST(AddressTest, EverythingElseIsNot) {
  for (const char* address : {"0.0.0.0",
                              "10.1.2.3",
                              "100.64.0.1",
                              "127.0.0.1",
                              "127.255.0.9",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "198.18.0.1",
                              "224.0.0.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "::ffff:127.0.0.1",
                              "::ffff:8.8.8.8",
                              "64:ff9b::7f00:1",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "2002:7f00:1::",
                              "2001:0:7f00:1::",
                              "2001:db8::1",
                              "3fff::1"}) {
    EXPECT_FALSE(IsPublic(address)) << address;
  }
}

TEST(AddressTest, AnotherFamilyIsNot) {
  const sockaddr local = {AF_UNIX, "x"};
  EXPECT_FALSE(IsPublicAddress(local));
}

}  // namespace
}  // namespace keel
