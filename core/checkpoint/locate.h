// From what a user calls a model to the directory that holds its files.
#ifndef KEEL_CORE_CHECKPOINT_LOCATE_H_
#define KEEL_CORE_CHECKPOINT_LOCATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

struct ModelLocation {
  std::string dir;
  std::string commit;  // of the Hugging Face snapshot; empty for a directory that the user named
};

// `model` is a directory (absolute, or relative to `base_dir`) or a Hugging Face id, "org/name" or
// "org/name@revision", that an earlier download left in the on-disk cache; nothing is downloaded.
// An existing directory wins. The cache is the first that is set of HF_HUB_CACHE,
// HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, and else
// ~/.cache/huggingface/hub. A revision is a branch, a tag (default "main", or the only
// snapshot of a cache that has no refs/main) or a full commit id.
// An error names every place that was looked at.
absl::StatusOr<ModelLocation> LocateModel(absl::string_view model, absl::string_view base_dir = "");

}  // namespace keel

#endif  // KEEL_CORE_CHECKPOINT_LOCATE_H_
