// Words that findings share.
#ifndef KEEL_CORE_CHECK_WORDS_H_
#define KEEL_CORE_CHECK_WORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace keel {

// "512 bytes", "1.5 GiB".
std::string BytesText(int64_t bytes);
// "1 layer", "3 layers".
std::string Count(int64_t n, absl::string_view noun);
// "layers 0-2, 5", "layer 4". `layers` ascends.
std::string LayersText(const std::vector<int>& layers);
// As many as a person reads, then "and 7 more".
std::vector<std::string> FirstLines(const std::vector<std::string>& lines);

}  // namespace keel
#endif  // KEEL_CORE_CHECK_WORDS_H_
