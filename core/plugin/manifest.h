// keel_plugin.json: how a checkpoint names the plugin that it brings. config.json may name the file
// itself: "auto_map": {"KeelPlugin": "keel_plugin.json"}.
//
//   {"id": "org.example.foo", "version": "1.0", "abi": "0.1", "architectures": ["FooForCausalLM"],
//    "artifacts": [{"kind": "so", "os": "linux", "arch": "x86_64", "path": "libfoo.so",
//                   "sha256": "..."}]}
#ifndef KEEL_CORE_PLUGIN_MANIFEST_H_
#define KEEL_CORE_PLUGIN_MANIFEST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

struct PluginArtifact {
  std::string kind;  // "so", "graph", "wasm"
  std::string os, arch;
  std::string path;    // a file name beside the manifest
  std::string sha256;  // of the file, hex
};

struct PluginManifest {
  std::string id;
  std::vector<std::string> architectures;
  std::vector<PluginArtifact> artifacts;
};

// Parses the text of a manifest; `where` (its path) begins every error. A path that leaves the
// checkpoint's directory and a sha256 that is none are errors.
absl::StatusOr<PluginManifest> ParsePluginManifest(absl::string_view text, absl::string_view where);

// The manifest of the checkpoint in `directory`, read from the file that auto_map names or from
// keel_plugin.json; nullopt if there is none.
absl::StatusOr<std::optional<PluginManifest>> ReadCheckpointManifest(const std::string& directory);

// The artifact that this machine can run: kind "so", its system and CPU. kNotFound lists what there
// is instead.
absl::StatusOr<PluginArtifact> ArtifactForThisMachine(const PluginManifest& manifest);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_MANIFEST_H_
