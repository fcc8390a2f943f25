// What somebody may have meant.
#ifndef KEEL_APPS_COMMON_NEAREST_H_
#define KEEL_APPS_COMMON_NEAREST_H_

#include <cstddef>
#include <string>
#include <vector>

namespace keel::apps {

// The word of `known` nearest to `word`, at most `max_distance` edits away; "" if none is.
std::string Nearest(const std::string& word, const std::vector<std::string>& known,
                    size_t max_distance);
// The same with a distance that fits the word's length.
std::string Nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_NEAREST_H_
