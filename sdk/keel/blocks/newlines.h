// Newlines that a processor puts beside those of a prompt.
//
//   #include "sdk/keel/blocks/newlines.h"
//   using namespace keel;
//
//   // The prompt with one newline more: "hello\n" becomes the tokens of "hello\n\n".
//   std::vector<int64_t> WithALine(const Newlines& newlines, std::vector<int64_t> ids) {
//     newlines.Append(1, ids);
//     return ids;
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_NEWLINES_H_
#define KEEL_SDK_KEEL_BLOCKS_NEWLINES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sdk/keel/processor.h"

namespace keel {

// Several in a row are one token in Gemma's tokenizers. Those that are put beside such a token are joined with it, as if
// they were tokenized together.
class Newlines {
 public:
  explicit Newlines(const Assets& assets) : assets_(assets) {
    constexpr int64_t kMost = 40;
    for (int64_t n = 1; n <= kMost; ++n) {
      const std::vector<int64_t> ids = assets.Encode(std::string(static_cast<size_t>(n), '\n'));
      if (ids.size() == 1) numbers_[ids[0]] = n;
    }
  }

  // How many a token is; 0: it is another.
  int64_t operator()(int64_t id) const {
    const auto found = numbers_.find(id);
    return found == numbers_.end() ? 0 : found->second;
  }

  // Appends `n` to `ids`, joined with those that it ends with.
  void Append(int64_t n, std::vector<int64_t>& ids) const {
    if (!ids.empty() && (*this)(ids.back()) > 0) {
      n += (*this)(ids.back());
      ids.pop_back();
    }
    const std::vector<int64_t> more = assets_.Encode(std::string(static_cast<size_t>(n), '\n'));
    ids.insert(ids.end(), more.begin(), more.end());
  }

 private:
  const Assets assets_;
  std::map<int64_t, int64_t> numbers_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_NEWLINES_H_
