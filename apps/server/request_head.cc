#include "apps/server/request_head.h"

#include "apps/common/request_id.h"
#include "apps/server/query.h"

namespace keel::apps {

std::string RequestId(std::string_view given) {
  const bool is_good = !given.empty() && given.size() <= 128 &&
                       given.find_first_not_of(
                           "0123456789abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:") == std::string_view::npos;
  return is_good ? std::string(given) : NewRequestId();
}

std::string DecodePath(std::string_view target) {
  std::string path = DecodePercent(target);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace keel::apps
