// The wire protocols that the server speaks.
#ifndef KEEL_APPS_SERVER_DIALECTS_H_
#define KEEL_APPS_SERVER_DIALECTS_H_

#include <span>
#include <string_view>
#include <vector>

#include "apps/wire/dialect.h"

namespace keel::apps {

// The first one's form is that of errors where no dialect's endpoint was asked.
std::span<const Dialect* const> Dialects();
// The same, the one called `name` before the others; empty: as they are. There must be one.
std::vector<const Dialect*> DialectsFrom(std::string_view name);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_DIALECTS_H_
