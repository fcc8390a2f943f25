#include "apps/server/query.h"

#include <charconv>
#include <system_error>

#include "apps/common/utf8.h"

namespace keel::apps {
namespace {

constexpr size_t kShownBytes = 100;  // of a value that is refused

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::string DecodePercent(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_code = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                         HexDigit(text[i + 2]) >= 0;
    if (!is_code) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(16 * HexDigit(text[i + 1]) + HexDigit(text[i + 2]));
    i += 2;
  }
  return ToUtf8(decoded);
}

std::optional<std::string> QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const size_t equals = pair.find('=');
    if (DecodePercent(pair.substr(0, equals)) != name) continue;
    return equals == std::string_view::npos ? "" : DecodePercent(pair.substr(equals + 1));
  }
  return std::nullopt;
}

MaybeError ReadQueryNumber(std::string_view query, const std::string& name, int64_t least,
                           int64_t most, int64_t unset, int64_t* value) {
  *value = unset;
  const std::optional<std::string> text = QueryValue(query, name);
  if (!text.has_value()) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, *value);
  if (error == std::errc() && rest == end && *value >= least && *value <= most) return std::nullopt;
  return InvalidField(name, name + " is '" + std::string(Beginning(*text, kShownBytes)) +
                                "', expected " + std::to_string(least) + " to " +
                                std::to_string(most));
}

}  // namespace keel::apps
