// The report of keel_check_model as lines for people.
#ifndef KEEL_APPS_CHECK_TABLE_H_
#define KEEL_APPS_CHECK_TABLE_H_

#include <cstddef>
#include <string>

#include "boost/json/object.hpp"

namespace keel::apps {

struct TableOptions {
  bool colour = false;
  bool details = false;  // of clauses that pass, too
  size_t width = 100;    // columns
};

// A row a clause, a line for each detail and remedy, and a last line with the counts.
std::string FormatReport(const boost::json::object& report, const TableOptions& options);

}  // namespace keel::apps

#endif  // KEEL_APPS_CHECK_TABLE_H_
