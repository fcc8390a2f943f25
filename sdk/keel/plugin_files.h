// Plugin files of checkpoints, for C++ programs: what is in them, pins, signatures, graphs. Over
// keel_plugin_* of sdk/abi/engine.h, nothing else. Answers are JSON objects; the C header says what
// is in them. Errors and threads as there.
//
//   #include <iostream>
//
//   #include "sdk/keel/plugin_files.h"
//
//   int main() {
//     const keel::Result<std::string> found = keel::InspectPlugin("path/to/libmine.so");
//     std::cout << (found.ok() ? *found : found.status().message()) << "\n";
//     return found.ok() ? 0 : 1;
//   }
#ifndef KEEL_SDK_KEEL_PLUGIN_FILES_H_
#define KEEL_SDK_KEEL_PLUGIN_FILES_H_

#include <cstddef>
#include <string>

#include "sdk/abi/engine.h"
#include "sdk/keel/engine.h"

namespace keel {
inline namespace embed {

// Calls `function` with a sink after its arguments, and gives the bytes that it got.
template <typename Function, typename... Arguments>
Result<std::string> CallForText(Function function, Arguments... arguments) {
  std::string text;
  const auto append = [](void* user, const char* bytes, size_t n) {
    static_cast<std::string*>(user)->append(bytes, n);
  };
  Status status = Status::FromAbi(function(arguments..., +append, &text));
  if (!status.ok()) return status;
  return text;
}

inline Result<std::string> InspectPlugin(const std::string& path) {
  return CallForText(keel_plugin_inspect, path.c_str());
}
inline Result<std::string> PinPlugin(const std::string& path, const std::string& trust_file = "",
                                     const std::string& comment = "") {
  return CallForText(keel_plugin_pin, path.c_str(), trust_file.c_str(), comment.c_str());
}
inline Result<std::string> SignPlugin(const std::string& path, const std::string& key_file,
                                      const std::string& password = "") {
  return CallForText(keel_plugin_sign, path.c_str(), key_file.c_str(), password.c_str());
}
inline Result<std::string> VerifyPlugin(const std::string& path,
                                        const std::string& trust_file = "") {
  return CallForText(keel_plugin_verify, path.c_str(), trust_file.c_str());
}
inline Result<std::string> ExportGraph(const Options& options, const std::string& file) {
  return CallForText(keel_plugin_export_graph, options.handle(), file.c_str());
}

}  // namespace embed
}  // namespace keel

#endif  // KEEL_SDK_KEEL_PLUGIN_FILES_H_
