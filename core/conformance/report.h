// What the kit found, for programs: JSON, and JUnit's XML for CI systems.
#ifndef KEEL_CORE_CONFORMANCE_REPORT_H_
#define KEEL_CORE_CONFORMANCE_REPORT_H_

#include <string>

#include "absl/types/span.h"
#include "core/conformance/kit.h"

namespace keel::conformance {

// {"plugin": "libfoo.so", "seed": 1, "configs": [...], "ok": false, "results": [{"id":
//  "KEEL-PLG-003", "group": "S", "level": "MUST", "text": "...", "outcome": "fail", "message":
//  "...", "waiver": "", "seconds": 0.01} ...]}
std::string JsonReport(const Subject& subject, absl::Span<const Result> results);

// A test suite of the plugin, a test case a requirement; warnings pass.
std::string JunitReport(const Subject& subject, absl::Span<const Result> results);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_REPORT_H_
