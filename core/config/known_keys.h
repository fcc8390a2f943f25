// Sizes that every config.json means alike, checked before anything is made of them.
#ifndef KEEL_CORE_CONFIG_KNOWN_KEYS_H_
#define KEEL_CORE_CONFIG_KNOWN_KEYS_H_

#include <boost/json/value.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace keel {

// Refuses, by key, sizes that no model has: layers, heads, widths, vocabulary and positions out of
// range, heads that do not divide. Absent keys and null pass: whether a family needs them is its
// affair. `where` begins the message ("config.json").
absl::Status CheckKnownKeys(const boost::json::value& config, absl::string_view where);

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_KNOWN_KEYS_H_
