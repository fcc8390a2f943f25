// Results as lines for people.
#ifndef KEEL_APPS_VALIDATE_TABLE_H_
#define KEEL_APPS_VALIDATE_TABLE_H_

#include <string>
#include <vector>

#include "core/conformance/kit.h"

namespace keel::apps {

// "fail   KEEL-PLG-003  exports nothing else\n                     exports helper ...\n". `colour`: with
// the terminal's sequences.
std::string ResultLine(const conformance::Result& result, bool colour);

// "40 pass, 1 warn, 2 skip: libfoo.so keeps its contract".
std::string SummaryLine(const std::string& plugin, const std::vector<conformance::Result>& results);

// Every requirement, a line each.
std::string RequirementList();

}  // namespace keel::apps

#endif  // KEEL_APPS_VALIDATE_TABLE_H_
