// Numbers of tokens that a flag gives: one, or any of a range.
#ifndef KEEL_APPS_BENCH_TOKEN_RANGE_H_
#define KEEL_APPS_BENCH_TOKEN_RANGE_H_

#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace keel::apps {

struct TokenRange {
  size_t min = 1, max = 1;

  bool is_one() const { return min == max; }
  // All are equally likely.
  size_t Draw(std::mt19937& random) const {
    return std::uniform_int_distribution<size_t>(min, max)(random);
  }
  bool operator==(const TokenRange&) const = default;
};

// "64" or "64-256", from 1 to ten million; nullopt for anything else.
std::optional<TokenRange> ParseTokenRange(std::string_view text);
// What ParseTokenRange reads.
std::string ToString(const TokenRange& range);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_TOKEN_RANGE_H_
