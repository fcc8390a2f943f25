// The scenarios as the program's user sees them.
#ifndef KEEL_APPS_BENCH_SCENARIOS_H_
#define KEEL_APPS_BENCH_SCENARIOS_H_

#include "apps/bench/closed_loop.h"
#include "apps/bench/flags.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Runs flags.scenario on an engine whose info() is `info`. Prints its table to standard output as it
// goes, unless flags.as_json. Returns what it was asked and what it measured; times are in
// milliseconds, rates in tokens a second.
Result<boost::json::object> RunScenario(Bench& bench, const BenchFlags& flags,
                                        const boost::json::object& info);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_SCENARIOS_H_
