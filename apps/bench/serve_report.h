// What `serve` found, for people and programs, in the words of vLLM's `vllm bench serve`.
#ifndef KEEL_APPS_BENCH_SERVE_REPORT_H_
#define KEEL_APPS_BENCH_SERVE_REPORT_H_

#include <string>

#include "apps/bench/serve.h"
#include "boost/json/object.hpp"

namespace keel::apps {

std::string ServeText(const ServeLoad& load, const ServeResult& result);
// Times in milliseconds, rates a second.
boost::json::object ServeJson(const ServeLoad& load, const ServeResult& result);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_SERVE_REPORT_H_
