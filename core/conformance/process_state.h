// What a plugin must leave as it is in the process that loads it.
#ifndef KEEL_CORE_CONFORMANCE_PROCESS_STATE_H_
#define KEEL_CORE_CONFORMANCE_PROCESS_STATE_H_

#include <cstdint>
#include <map>
#include <string>

namespace keel::conformance {

// Signal handlers, locale, environment, directory, umask, floating-point mode; by name, as text.
std::map<std::string, std::string> ProcessSettings();

// "locale: C, was de_DE; SIGSEGV: ..."; "" if both are alike.
std::string Difference(const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& after);

int CountThreads();
int CountOpenFiles();
// Bytes of this process in memory; 0 under a sanitizer, which keeps what was freed.
int64_t ResidentBytes();
// What malloc has given out and not got back; 0 with a sanitizer, which has its own.
int64_t HeapBytes();

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_PROCESS_STATE_H_
