// A plugin's processor found as a host finds it, by its note, for tests.
#ifndef KEEL_TESTS_RECORDED_OPEN_PROCESSOR_H_
#define KEEL_TESTS_RECORDED_OPEN_PROCESSOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/conformance/processor_under_test.h"

namespace keel {

using conformance::Delivered;
using conformance::ProcessorUnderTest;
using conformance::TestMedia;

// The plugin of processor_class `name`, loaded, and its processor for dir/config.json. `tokens` are
// the tokenizer's.
absl::StatusOr<std::unique_ptr<ProcessorUnderTest>> OpenProcessor(
    const std::string& plugin, const std::string& name, const std::string& dir,
    const std::map<std::string, int64_t>& tokens);

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_OPEN_PROCESSOR_H_
