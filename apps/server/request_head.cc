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

TraceContext ReadTraceParent(std::string_view given) {
  constexpr size_t kVersion = 2, kTrace = 32, kSpan = 16, kSize = 55;  // with the flags, 2
  const auto is_hex = [](std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  };
  const auto is_zero = [](std::string_view text) {
    return text.find_first_not_of('0') == std::string_view::npos;
  };
  if (given.size() < kSize || (given.size() > kSize && given[kSize] != '-')) return {};
  const std::string_view version = given.substr(0, kVersion);
  const std::string_view trace = given.substr(kVersion + 1, kTrace);
  const std::string_view span = given.substr(kVersion + kTrace + 2, kSpan);
  const std::string_view flags = given.substr(kSize - 2, 2);
  for (const size_t dash : {kVersion, kVersion + 1 + kTrace, kSize - 3})
    if (given[dash] != '-') return {};
  // Later versions may have more behind it; the first has not.
  if (version == "ff" || (version == "00" && given.size() > kSize)) return {};
  for (const std::string_view part : {version, trace, span, flags})
    if (!is_hex(part)) return {};
  if (is_zero(trace) || is_zero(span)) return {};
  return {.trace_id = std::string(trace), .span_id = std::string(span)};
}

std::string DecodePath(std::string_view target) {
  std::string path = DecodePercent(target);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace keel::apps
