// Flags of other servers, for those who come from there.
#ifndef KEEL_APPS_COMMON_FOREIGN_FLAGS_H_
#define KEEL_APPS_COMMON_FOREIGN_FLAGS_H_

#include <string_view>

namespace keel::apps {

// What to use instead of `flag` ("--ctx-size") here; "" if no other server has it.
std::string_view HintForForeignFlag(std::string_view flag);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_FOREIGN_FLAGS_H_
