// What a plugin's file says of itself, for build rules.
#ifndef KEEL_CORE_CONFORMANCE_NOTE_H_
#define KEEL_CORE_CONFORMANCE_NOTE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace keel::conformance {

// OK if the plugin's note names exactly these architectures.
absl::Status CheckArchitectures(const std::string& plugin, std::vector<std::string> expected);

// The keel_plugin.json of a checkpoint that brings this plugin (core/plugin/manifest.h).
absl::StatusOr<std::string> CheckpointManifest(const std::string& plugin);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_NOTE_H_
