// keel_plugin.json: how a checkpoint names the plugin that it brings. config.json may name the file
// itself, beside the Python classes of other servers, which are not read:
//   "auto_map": {"AutoModelForCausalLM": "modeling_foo.FooForCausalLM",
//                "KeelPlugin": "keel_plugin.json"}
//
//   {"id": "org.example.foo", "version": "1.0", "abi": "0.2", "architectures": ["FooForCausalLM"],
//    "artifacts": [{"kind": "graph", "path": "foo.graph", "sha256": "..."},
//                  {"kind": "so", "os": "linux", "arch": "x86_64", "path": "libfoo.so",
//                   "sha256": "..."}]}
//
// A graph is data and the same everywhere; a library is for one system and CPU. Fields and kinds
// that this host does not know are passed over. The sha256 binds the manifest to the file and says
// nothing about who wrote them.
#ifndef KEEL_CORE_PLUGIN_MANIFEST_H_
#define KEEL_CORE_PLUGIN_MANIFEST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

#if defined(__x86_64__)
inline constexpr char kThisArch[] = "x86_64";
#else
inline constexpr char kThisArch[] = "aarch64";
#endif

struct PluginArtifact {
  std::string kind;      // "so", "graph"; others are not served
  std::string os, arch;  // of "so"
  std::string path;      // a file name beside the manifest
  std::string sha256;    // of the file, hex
};

struct PluginManifest {
  std::string id, version;
  std::vector<std::string> architectures;
  std::vector<PluginArtifact> artifacts;
};

// Parses the text of a manifest; `where` (its path) begins every error. A path that leaves the
// checkpoint's directory and a sha256 that is none are errors.
absl::StatusOr<PluginManifest> ParsePluginManifest(absl::string_view text, absl::string_view where);

// The manifest of the checkpoint in `directory`, read from the file that auto_map names or from
// keel_plugin.json; nullopt if there is none.
absl::StatusOr<std::optional<PluginManifest>> ReadCheckpointManifest(const std::string& directory);

// What of a manifest this machine can use: the graph if there is one, unless `prefer_code` and there
// is a library; then a library for its system and CPU, which may have what a graph has not, a
// processor. kNotFound lists what there is instead.
absl::StatusOr<std::vector<PluginArtifact>> ArtifactsForThisMachine(const PluginManifest& manifest,
                                                                    bool prefer_code);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_MANIFEST_H_
