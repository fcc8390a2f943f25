// Whether a model can be served, before it is loaded: keel_check_model for C++ programs.
//
//   #include <iostream>
//
//   #include "sdk/keel/check.h"
//
//   int main() {
//     keel::Options options;
//     if (!options.Set("model", "path/to/model").ok()) return 2;
//     const keel::Result<std::string> report = keel::CheckModel(options);
//     std::cout << (report.ok() ? *report : report.status().message()) << "\n";
//     return report.ok() ? 0 : 1;
//   }
#ifndef KEEL_SDK_KEEL_CHECK_H_
#define KEEL_SDK_KEEL_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "sdk/keel/engine.h"

namespace keel {
inline namespace embed {

// The report as JSON, which sdk/abi/engine.h describes. `tensor_parallel`: degrees that must work. May
// be called from any thread.
inline Result<std::string> CheckModel(const Options& options,
                                      std::span<const int32_t> tensor_parallel = {}) {
  std::string json;
  const keel_status status = keel_check_model(
      options.handle(), tensor_parallel.data(), tensor_parallel.size(),
      [](void* user, const char* bytes, size_t n) {
        static_cast<std::string*>(user)->assign(bytes, n);
      },
      &json);
  if (status != 0) return Status::FromAbi(status);
  return json;
}

}  // namespace embed
}  // namespace keel

#endif  // KEEL_SDK_KEEL_CHECK_H_
