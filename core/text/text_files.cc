#include "core/text/text_files.h"

#include <dirent.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr int64_t kMaxTokenizerBytes = 256 << 20;
constexpr int64_t kMaxOtherBytes = 64 << 20;
constexpr int64_t kMaxTemplateBytes = 4 << 20;
constexpr absl::string_view kTemplateSuffix = ".jinja";

// "" if there is no such file.
absl::StatusOr<std::string> ReadIfThere(const std::string& dir, absl::string_view name,
                                        int64_t max_bytes) {
  const std::string path = JoinPath(dir, name);
  if (!IsRegularFile(path)) return std::string();
  return ReadFile(path, max_bytes);
}

absl::Status NoTokenizer(const std::string& dir) {
  std::string seen;
  for (const char* name :
       {"tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "tiktoken.model"}) {
    if (IsRegularFile(JoinPath(dir, name))) absl::StrAppend(&seen, seen.empty() ? "" : ", ", name);
  }
  if (seen.empty()) {
    return absl::NotFoundError(
        absl::StrCat(dir, ": has no tokenizer.json; download it with the rest of the checkpoint"));
  }
  return absl::NotFoundError(absl::StrCat(
      dir, ": has no tokenizer.json but ", seen,
      ", which are not read; load the tokenizer with transformers and save_pretrained it to get "
      "tokenizer.json"));
}

absl::Status ReadNamedTemplates(const std::string& dir, TextFiles& files) {
  const std::string folder = JoinPath(dir, "additional_chat_templates");
  std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(folder.c_str()), closedir);
  if (listing == nullptr) return absl::OkStatus();
  while (const dirent* entry = readdir(listing.get())) {
    absl::string_view name = entry->d_name;
    if (!absl::ConsumeSuffix(&name, kTemplateSuffix)) continue;
    KEEL_ASSIGN_OR_RETURN(files.chat_templates[std::string(name)],
                          ReadFile(JoinPath(folder, entry->d_name), kMaxTemplateBytes));
  }
  return absl::OkStatus();
}

void Append(absl::string_view part, std::string& out) {
  const uint64_t size = part.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof(size));
  out.append(part.data(), part.size());
}

absl::StatusOr<std::string> Take(absl::string_view& bytes) {
  uint64_t size = 0;
  if (bytes.size() < sizeof(size)) return absl::InvalidArgumentError("text files: cut short");
  std::memcpy(&size, bytes.data(), sizeof(size));
  bytes.remove_prefix(sizeof(size));
  if (size > bytes.size()) return absl::InvalidArgumentError("text files: cut short");
  std::string part(bytes.substr(0, size));
  bytes.remove_prefix(size);
  return part;
}

}  // namespace

absl::StatusOr<TextFiles> ReadTextFiles(const std::string& dir) {
  TextFiles files;
  KEEL_ASSIGN_OR_RETURN(files.tokenizer, ReadIfThere(dir, "tokenizer.json", kMaxTokenizerBytes));
  if (files.tokenizer.empty()) return NoTokenizer(dir);
  KEEL_ASSIGN_OR_RETURN(files.tokenizer_config,
                        ReadIfThere(dir, "tokenizer_config.json", kMaxOtherBytes));
  KEEL_ASSIGN_OR_RETURN(files.special_tokens_map,
                        ReadIfThere(dir, "special_tokens_map.json", kMaxOtherBytes));
  KEEL_ASSIGN_OR_RETURN(files.added_tokens, ReadIfThere(dir, "added_tokens.json", kMaxOtherBytes));
  KEEL_ASSIGN_OR_RETURN(files.chat_template_json,
                        ReadIfThere(dir, "chat_template.json", kMaxTemplateBytes));
  KEEL_ASSIGN_OR_RETURN(std::string source,
                        ReadIfThere(dir, "chat_template.jinja", kMaxTemplateBytes));
  if (!source.empty()) files.chat_templates["default"] = std::move(source);
  KEEL_RETURN_IF_ERROR(ReadNamedTemplates(dir, files));
  return files;
}

std::string SerializeTextFiles(const TextFiles& files) {
  std::string out;
  for (const std::string* part :
       {&files.tokenizer, &files.tokenizer_config, &files.special_tokens_map, &files.added_tokens,
        &files.chat_template_json}) {
    Append(*part, out);
  }
  for (const auto& [name, source] : files.chat_templates) {
    Append(name, out);
    Append(source, out);
  }
  return out;
}

absl::StatusOr<TextFiles> ParseTextFiles(absl::string_view bytes) {
  TextFiles files;
  for (std::string* part : {&files.tokenizer, &files.tokenizer_config, &files.special_tokens_map,
                            &files.added_tokens, &files.chat_template_json}) {
    KEEL_ASSIGN_OR_RETURN(*part, Take(bytes));
  }
  while (!bytes.empty()) {
    KEEL_ASSIGN_OR_RETURN(std::string name, Take(bytes));
    KEEL_ASSIGN_OR_RETURN(files.chat_templates[name], Take(bytes));
  }
  return files;
}

}  // namespace keel
