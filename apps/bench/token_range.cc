#include "apps/bench/token_range.h"

#include <charconv>

namespace keel::apps {
namespace {

constexpr size_t kMost = 10'000'000;

std::optional<size_t> ParseTokens(std::string_view text) {
  size_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 1 || value > kMost) return std::nullopt;
  return value;
}

}  // namespace

std::optional<TokenRange> ParseTokenRange(std::string_view text) {
  const size_t dash = text.find('-');
  const std::optional<size_t> min = ParseTokens(text.substr(0, dash));
  const std::optional<size_t> max =
      dash == std::string_view::npos ? min : ParseTokens(text.substr(dash + 1));
  if (!min.has_value() || !max.has_value() || *min > *max) return std::nullopt;
  return TokenRange{*min, *max};
}

std::string ToString(const TokenRange& range) {
  const std::string min = std::to_string(range.min);
  return range.is_one() ? min : min + "-" + std::to_string(range.max);
}

}  // namespace keel::apps
