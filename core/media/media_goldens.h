// The images, sounds and clips of testdata and what they decode to, for tests.
#ifndef KEEL_CORE_MEDIA_MEDIA_GOLDENS_H_
#define KEEL_CORE_MEDIA_MEDIA_GOLDENS_H_

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace keel::testing {

inline std::string MediaBytes(const std::string& name) {
  return ReadFile(JoinPath("core/media/testdata", name)).value();
}

// "images.json", "sounds.json", "clips.json", "sampling.json" (tests/goldens/make_media.py).
inline boost::json::object MediaGoldens(const std::string& name) {
  return ParseJson(MediaBytes(name), name)->as_object();
}

// Bytes that are written as digits.
inline std::vector<uint8_t> OfDigits(const boost::json::value& digits) {
  const std::string bytes = absl::HexStringToBytes(std::string(digits.as_string()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace keel::testing

#endif  // KEEL_CORE_MEDIA_MEDIA_GOLDENS_H_
