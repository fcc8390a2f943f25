#include "apps/server/request_head.h"

#include <cstddef>

#include "apps/common/request_id.h"

namespace keel::apps {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::string RequestId(std::string_view given) {
  const bool is_good = !given.empty() && given.size() <= 128 &&
                       given.find_first_not_of(
                           "0123456789abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:") == std::string_view::npos;
  return is_good ? std::string(given) : NewRequestId();
}

std::string DecodePath(std::string_view target) {
  std::string path;
  for (size_t i = 0; i < target.size(); ++i) {
    const bool is_code = target[i] == '%' && i + 2 < target.size() &&
                         HexDigit(target[i + 1]) >= 0 && HexDigit(target[i + 2]) >= 0;
    if (!is_code) {
      path += target[i];
      continue;
    }
    path += static_cast<char>(16 * HexDigit(target[i + 1]) + HexDigit(target[i + 2]));
    i += 2;
  }
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace keel::apps
