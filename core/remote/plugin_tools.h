// What an operator or a publisher does with plugin files, none of whose code runs here: look into
// them, pin, sign and verify them. Answers are JSON objects, for programs and for people.
#ifndef KEEL_CORE_REMOTE_PLUGIN_TOOLS_H_
#define KEEL_CORE_REMOTE_PLUGIN_TOOLS_H_

#include <boost/json/object.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace keel {

// `path` is a library, a graph file, or a checkpoint's directory, whose manifest names one of both.
//
//   kind "library"  path, sha256, id, version, abi, architectures, model_types, attention, kernels,
//                   processors, signed_as (the trusted comment of its signature, unverified, or
//                   null)
//   kind "graph"    path, sha256, plugin, opset, architecture, provenance (as graph.proto has it),
//                   declarations (how many), functions (nodes by name), text (of the whole, as
//                   textproto: two graphs can be compared)
//
// Errors are those of loading it: what is wrong with the file by the host's rules.
absl::StatusOr<boost::json::object> InspectPluginFile(const std::string& path);

// Appends the library's sha256 to the trust file ("": the user's own) with a comment ("": its id and
// version). Gives sha256, trust_file.
absl::StatusOr<boost::json::object> PinPlugin(const std::string& path,
                                              const std::string& trust_file,
                                              const std::string& comment);

// Writes <library>.minisig with the secret key in `key_file`. Gives signature (its path), key (id),
// signed_as.
absl::StatusOr<boost::json::object> SignPlugin(const std::string& path, const std::string& key_file,
                                               const std::string& password);

// Whether --trust-remote-code=full would run the library with the trust file ("": the default ones).
// Gives sha256, verified and reason ("" if verified).
absl::StatusOr<boost::json::object> VerifyPlugin(const std::string& path,
                                                 const std::string& trust_file);

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_PLUGIN_TOOLS_H_
