// A checkpoint directory in Hugging Face's layout: config.json, generation_config.json, small text
// files, and weights in model.safetensors or in the shards that model.safetensors.index.json lists.
#ifndef KEEL_CORE_CHECKPOINT_CHECKPOINT_H_
#define KEEL_CORE_CHECKPOINT_CHECKPOINT_H_

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/checkpoint/generation_config.h"
#include "core/checkpoint/safetensors.h"

namespace keel {

// OK, or kUnimplemented naming the quantization that config.json asks for and Keel does not serve
// yet.
absl::Status CheckQuantizationServed(const boost::json::value& config, absl::string_view where);

// Thread-safe. Tensors and what they point to live as long as the Checkpoint.
class Checkpoint {
 public:
  // Reads the configs and the names of the tensors; refuses a directory without config.json or
  // weights, a quantization that is not served, and an index whose shards are missing or lie
  // elsewhere. Shards are mapped when first used.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& dir);

  const std::string& dir() const { return dir_; }
  const boost::json::value& config() const { return config_; }  // an object
  // Empty but for config.json's token ids if the checkpoint has no generation_config.json.
  const GenerationConfig& generation_config() const { return generation_config_; }

  // Every tensor's name, sorted; maps nothing.
  absl::Span<const std::string> names() const { return names_; }
  bool Contains(absl::string_view name) const { return file_of_.contains(name); }

  // kNotFound names the tensor and the file that was to hold it. Maps the tensor's shard.
  absl::StatusOr<const TensorView*> Find(absl::string_view name) const;

  // Sizes of the weight files, and of those that are mapped by now.
  int64_t weight_bytes() const { return weight_bytes_; }
  int64_t mapped_bytes() const;

  // A text that is another one when a weight file is: of each its path, size, times of change, and what its header says,
  // as they were when it was mapped. Maps all of them.
  absl::StatusOr<std::string> Identity() const;
  // Takes the pages of the weight files out of the process's memory; who reads a tensor then reads the file again.
  void DropPages() const;

  // A text file of the directory ("tokenizer.json", "chat_template.jinja"), nullopt if it has none.
  absl::StatusOr<std::optional<std::string>> ReadText(absl::string_view file_name,
                                                      int64_t max_bytes = 64 << 20) const;

 private:
  struct WeightFile {
    std::string name;                         // within dir_
    std::unique_ptr<SafetensorsFile> mapped;  // null until first used
  };

  Checkpoint() = default;
  absl::Status OpenConfigs();
  absl::Status OpenWeights();
  absl::Status OpenSingleFile();
  absl::Status OpenIndex();
  absl::StatusOr<const SafetensorsFile*> Map(size_t file) const;

  std::string dir_;
  boost::json::value config_;
  GenerationConfig generation_config_;
  std::vector<std::string> names_;
  absl::flat_hash_map<absl::string_view, size_t> file_of_;  // tensor -> files_; keys borrow names_
  int64_t weight_bytes_ = 0;

  mutable absl::Mutex mutex_;
  mutable std::vector<WeightFile> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace keel

#endif  // KEEL_CORE_CHECKPOINT_CHECKPOINT_H_
