// Text that comes in pieces, and markers in it.
#ifndef KEEL_CORE_CHAT_PARSERS_MARKER_SCANNER_H_
#define KEEL_CORE_CHAT_PARSERS_MARKER_SCANNER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

class MarkerScanner {
 public:
  void Add(absl::string_view text) { buffer_.append(text.data(), text.size()); }

  // Takes the text before the first of `markers`, appends it to `before` and takes the marker; returns its
  // index. -1: there is none; then `before` gets what can't be the beginning of one. Where two begin at
  // one place it is the longer, so none may begin with another that could end it.
  int TakeUntil(absl::Span<const absl::string_view> markers, std::string* before);

  // What is there and not taken.
  absl::string_view rest() const { return buffer_; }
  void Take(size_t n) { buffer_.erase(0, n); }
  // Before the rest.
  void PutBack(absl::string_view text);
  // The rest begins with `marker`, which is taken.
  bool TakeMarker(absl::string_view marker);
  // The rest may become the beginning of one of `markers`: it is one's beginning, but not all of it.
  bool MayBecome(absl::Span<const absl::string_view> markers) const;

 private:
  std::string buffer_;
};

// Bytes of `text` at its end that may be the beginning of one of `markers`.
size_t HeldBytes(absl::string_view text, absl::Span<const absl::string_view> markers);

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_MARKER_SCANNER_H_
