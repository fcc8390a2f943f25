#include "core/media/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace keel {
namespace {

// IANA's special-purpose registries: what begins with `bits` bits of `prefix`.
struct Range4 {
  uint32_t prefix;
  int bits;
};
constexpr Range4 kSpecial4[] = {
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared by carriers
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0000200, 24},  // documentation
    {0xc0586300, 24},  // 6to4 relays
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarking
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 3},   // multicast and reserved
};

struct Range6 {
  uint8_t prefix[4];
  int bits;
};
constexpr Range6 kGlobal6 = {{0x20, 0, 0, 0}, 3};  // all that is given out
constexpr Range6 kSpecial6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},  // protocol assignments, Teredo among them
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x02, 0x00, 0x00}, 16},  // 6to4
    {{0x3f, 0xff, 0x00, 0x00}, 20},  // documentation
};

bool IsIn(uint32_t address, uint32_t prefix, int bits) {
  return (address ^ prefix) >> (32 - bits) == 0;
}

uint32_t First32(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool IsIn(const in6_addr& address, const Range6& range) {
  return IsIn(First32(address.s6_addr), First32(range.prefix), range.bits);
}

}  // namespace

bool IsPublicAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    return std::none_of(std::begin(kSpecial4), std::end(kSpecial4),
                        [ip](const Range4& range) { return IsIn(ip, range.prefix, range.bits); });
  }
  if (address.sa_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return IsIn(ip, kGlobal6) && std::none_of(std::begin(kSpecial6), std::end(kSpecial6),
                                              [&](const Range6& range) { return IsIn(ip, range); });
  }
  return false;
}

}  // namespace keel
