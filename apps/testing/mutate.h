// Damaged copies of good inputs, for tests of parsers of what comes from outside.
#ifndef KEEL_APPS_TESTING_MUTATE_H_
#define KEEL_APPS_TESTING_MUTATE_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <random>
#include <string>

namespace keel::apps {

// `text` with one to four places changed: a byte flipped, a piece dropped, doubled or replaced by
// something that JSON parsers stumble over.
inline std::string Mutate(std::string text, std::mt19937& random) {
  static const std::string kPieces[] = {"\"",   "{",    "}",     "[",       "]",
                                        ",",    ":",    "\\",    "\\u0000", "\\ud800",
                                        "-1",   "1e99", "1e999", "null",    "18446744073709551616",
                                        "\xFF", "\xC3", "{}",    "[[]]"};
  const auto below = [&](size_t n) { return random() % std::max<size_t>(1, n); };
  for (size_t i = 1 + below(4); i > 0; --i) {
    const size_t at = below(text.size() + 1);
    const size_t n = std::min(1 + below(8), text.size() - at);
    switch (below(4)) {
      case 0:
        if (n > 0) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, n);
        break;
      case 2:
        text.insert(at, text.substr(at, n));
        break;
      default:
        text.replace(at, n, kPieces[below(std::size(kPieces))]);
    }
  }
  return text;
}

}  // namespace keel::apps

#endif  // KEEL_APPS_TESTING_MUTATE_H_
