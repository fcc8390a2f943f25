#include "core/checkpoint/checkpoint.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr absl::string_view kConfig = "config.json";
constexpr absl::string_view kGenerationConfig = "generation_config.json";
constexpr absl::string_view kSingleFile = "model.safetensors";
constexpr absl::string_view kIndex = "model.safetensors.index.json";

// A file of the directory itself, whatever an index says.
bool IsPlainFileName(absl::string_view name) {
  return !name.empty() && name != "." && !absl::StrContains(name, "..") &&
         !absl::StrContains(name, '/') && !absl::StrContains(name, '\\') &&
         !absl::StrContains(name, '\0');
}

absl::StatusOr<json::value> ReadJsonObject(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  KEEL_ASSIGN_OR_RETURN(json::value value, ParseJson(text, path));
  if (value.is_object()) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": is ", JsonKindName(value), ", expected an object"));
}

absl::Status NoWeights(const std::string& dir) {
  for (const absl::string_view other : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (!IsRegularFile(JoinPath(dir, other))) continue;
    return absl::UnimplementedError(absl::StrCat(
        dir, ": has only ", other,
        ", a pickle, which can run code when it is read and is not "
        "served; convert it: in transformers, from_pretrained(...) then save_pretrained(..., "
        "safe_serialization=True)"));
  }
  return absl::NotFoundError(
      absl::StrCat(dir, ": has no weights; looked for ", kSingleFile, " and ", kIndex));
}

}  // namespace

absl::Status CheckQuantizationServed(const json::value& config, absl::string_view where) {
  for (const absl::string_view pointer :
       {"/quantization_config", "/text_config/quantization_config", "/compression_config"}) {
    const json::value* found = FindJsonValue(config, pointer);
    if (found == nullptr || found->is_null()) continue;
    KEEL_ASSIGN_OR_RETURN(const json::object* quantization,
                          GetJson<const json::object*>(config, pointer, where));
    if (quantization->empty()) continue;
    KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> method,
                          FindJson<std::string>(*found, "/quant_method", where));
    const std::string field = absl::StrCat(where, ": ", pointer.substr(1));
    if (!method.has_value()) {
      return absl::UnimplementedError(
          absl::StrCat(field,
                       " names no quant_method; quantized weights are not served yet, use the "
                       "checkpoint in bfloat16, float16 or float32"));
    }
    return absl::UnimplementedError(
        absl::StrCat(field, ": quant_method '", absl::Utf8SafeCHexEscape(*method),
                     "' is not served yet; use the checkpoint in bfloat16, float16 or float32"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(const std::string& dir) {
  if (!IsDirectory(dir)) {
    return absl::NotFoundError(absl::StrCat(dir, ": is no directory; a checkpoint is one with ",
                                            kConfig, " and ", kSingleFile));
  }
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->dir_ = dir;
  KEEL_RETURN_IF_ERROR(checkpoint->OpenConfigs());
  KEEL_RETURN_IF_ERROR(checkpoint->OpenWeights());
  return checkpoint;
}

absl::Status Checkpoint::OpenConfigs() {
  const std::string config_path = JoinPath(dir_, kConfig);
  absl::StatusOr<json::value> config = ReadJsonObject(config_path);
  if (absl::IsNotFound(config.status())) {
    return absl::NotFoundError(absl::StrCat(
        dir_, ": has no ", kConfig, "; give a checkpoint directory in Hugging Face's layout"));
  }
  KEEL_RETURN_IF_ERROR(config);
  config_ = *std::move(config);
  KEEL_RETURN_IF_ERROR(CheckQuantizationServed(config_, config_path));

  const std::string generation_path = JoinPath(dir_, kGenerationConfig);
  KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadText(kGenerationConfig));
  if (text.has_value()) {
    KEEL_ASSIGN_OR_RETURN(const json::value value, ParseJson(*text, generation_path));
    KEEL_ASSIGN_OR_RETURN(generation_config_, ParseGenerationConfig(value, generation_path));
  }
  return FillTokenIdsFromModelConfig(config_, config_path, generation_config_);
}

absl::Status Checkpoint::OpenWeights() {
  // transformers takes the single file first, too.
  if (IsRegularFile(JoinPath(dir_, kSingleFile))) return OpenSingleFile();
  if (IsRegularFile(JoinPath(dir_, kIndex))) return OpenIndex();
  return NoWeights(dir_);
}

absl::Status Checkpoint::OpenSingleFile() {
  KEEL_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(JoinPath(dir_, kSingleFile)));
  weight_bytes_ = static_cast<int64_t>(file.file_bytes());
  for (const TensorView& tensor : file.tensors()) names_.push_back(tensor.name);
  std::sort(names_.begin(), names_.end());
  for (const std::string& name : names_) file_of_.emplace(name, 0);
  absl::MutexLock lock(&mutex_);
  files_.push_back({std::string(kSingleFile), std::make_unique<SafetensorsFile>(std::move(file))});
  return absl::OkStatus();
}

absl::Status Checkpoint::OpenIndex() {
  const std::string path = JoinPath(dir_, kIndex);
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  KEEL_ASSIGN_OR_RETURN(const json::value index, ParseJson(text, path, {.unique_keys = true}));
  KEEL_ASSIGN_OR_RETURN(const json::object* weight_map,
                        GetJson<const json::object*>(index, "/weight_map", path));
  absl::MutexLock lock(&mutex_);
  absl::flat_hash_map<std::string, size_t> file_of_shard;
  std::vector<std::pair<std::string, size_t>> entries;
  for (const auto& [key, value] : *weight_map) {
    const std::string name(key.data(), key.size());
    const std::string where = absl::StrCat(path, ": tensor ", absl::Utf8SafeCHexEscape(name));
    KEEL_ASSIGN_OR_RETURN(const std::string shard, GetJson<std::string>(value, "", where));
    if (!IsPlainFileName(shard)) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": shard ", JsonSnippet(value),
                       " is no plain file name; shards lie beside their index"));
    }
    const auto [it, is_new] = file_of_shard.emplace(shard, files_.size());
    if (is_new) {
      const absl::StatusOr<int64_t> size = RegularFileSize(JoinPath(dir_, shard));
      if (!size.ok()) return Annotate(size.status(), where);
      weight_bytes_ += *size;
      files_.push_back({shard, nullptr});
    }
    entries.emplace_back(name, it->second);
  }
  std::sort(entries.begin(), entries.end());
  names_.reserve(entries.size());  // file_of_ borrows the names: they must not move.
  for (auto& [name, file] : entries) {
    names_.push_back(std::move(name));
    file_of_.emplace(names_.back(), file);
  }
  return absl::OkStatus();
}

absl::StatusOr<const SafetensorsFile*> Checkpoint::Map(size_t file) const {
  absl::MutexLock lock(&mutex_);
  WeightFile& weights = files_[file];
  if (weights.mapped == nullptr) {
    KEEL_ASSIGN_OR_RETURN(SafetensorsFile mapped,
                          SafetensorsFile::Open(JoinPath(dir_, weights.name)));
    weights.mapped = std::make_unique<SafetensorsFile>(std::move(mapped));
  }
  return weights.mapped.get();
}

absl::StatusOr<const TensorView*> Checkpoint::Find(absl::string_view name) const {
  const auto it = file_of_.find(name);
  if (it == file_of_.end()) {
    return absl::NotFoundError(absl::StrCat(dir_, ": no tensor ", name, " in the weights"));
  }
  KEEL_ASSIGN_OR_RETURN(const SafetensorsFile* file, Map(it->second));
  const TensorView* tensor = file->Find(name);
  if (tensor != nullptr) return tensor;
  return absl::NotFoundError(absl::StrCat(file->path(), ": no tensor ", name, ", which ", kIndex,
                                          " says is in this shard"));
}

int64_t Checkpoint::mapped_bytes() const {
  absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const WeightFile& file : files_) {
    if (file.mapped != nullptr) bytes += static_cast<int64_t>(file.mapped->file_bytes());
  }
  return bytes;
}

absl::StatusOr<std::string> Checkpoint::Identity() const {
  size_t num_files = 0;
  {
    absl::MutexLock lock(&mutex_);
    num_files = files_.size();
  }
  std::string identity;
  for (size_t i = 0; i < num_files; ++i) {
    KEEL_ASSIGN_OR_RETURN(const SafetensorsFile* file, Map(i));
    absl::StrAppend(&identity, file->path(), " ", file->file_bytes(), " ", file->times(), " ",
                    Sha256Hex(file->header()), "\n");
  }
  return identity;
}

void Checkpoint::DropPages() const {
  absl::MutexLock lock(&mutex_);
  for (const WeightFile& file : files_)
    if (file.mapped != nullptr) file.mapped->DropPages();
}

absl::StatusOr<std::optional<std::string>> Checkpoint::ReadText(absl::string_view file_name,
                                                                int64_t max_bytes) const {
  if (!IsPlainFileName(file_name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        dir_, ": \"", absl::Utf8SafeCHexEscape(file_name), "\" is no plain file name"));
  }
  absl::StatusOr<std::string> text = ReadFile(JoinPath(dir_, file_name), max_bytes);
  if (absl::IsNotFound(text.status())) return std::optional<std::string>();
  KEEL_RETURN_IF_ERROR(text);
  return std::optional<std::string>(*std::move(text));
}

}  // namespace keel
