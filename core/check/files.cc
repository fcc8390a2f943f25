// The clauses about files: there, readable, served.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/generation_config.h"
#include "core/config/known_keys.h"

namespace keel::clauses {
namespace {

constexpr char kConfig[] = "config.json", kGeneration[] = "generation_config.json";

absl::StatusOr<boost::json::value> ReadConfig(const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(dir, kConfig)));
  KEEL_ASSIGN_OR_RETURN(boost::json::value config, ParseJson(text, kConfig));
  if (!config.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kConfig, ": is ", JsonKindName(config), ", expected an object"));
  }
  KEEL_RETURN_IF_ERROR(CheckKnownKeys(config, kConfig));
  return config;
}

absl::StatusOr<GenerationConfig> ReadGeneration(const std::string& text,
                                                const boost::json::value& config) {
  GenerationConfig generation;
  if (!text.empty()) {
    KEEL_ASSIGN_OR_RETURN(const boost::json::value json, ParseJson(text, kGeneration));
    KEEL_ASSIGN_OR_RETURN(generation, ParseGenerationConfig(json, kGeneration));
  }
  KEEL_RETURN_IF_ERROR(FillTokenIdsFromModelConfig(config, kConfig, generation));
  return generation;
}

}  // namespace

Finding Directory(Inspection& x) {
  absl::StatusOr<std::string> dir = FindModelDir(x.options.engine.model);
  if (!dir.ok()) {
    return Fail(dir.status(), "name a checkpoint's directory, or download the model first");
  }
  x.dir = *std::move(dir);
  // It is tried in a child meanwhile, which takes as long as all the rest.
  x.loading_text = std::async(
      std::launch::async, [dir = x.dir, chat_template = x.options.engine.model.FindChatTemplate()] {
        return LoadText(dir, chat_template);
      });
  return Pass(x.dir);
}

Finding Config(Inspection& x) {
  absl::StatusOr<boost::json::value> config = ReadConfig(x.dir);
  if (!config.ok()) {
    return Fail(config.status(), "give a directory in Hugging Face's layout, or mend config.json");
  }
  x.config = *std::move(config);
  return Pass(Count(static_cast<int64_t>(x.config.get_object().size()), "key"));
}

Finding Generation(Inspection& x) {
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(x.dir, kGeneration));
  if (!text.ok() && !absl::IsNotFound(text.status()))
    return Fail(text.status(), "make it readable");
  if (const auto read = ReadGeneration(text.value_or(""), x.config); !read.ok())
    return Fail(read.status(), "mend the file, or remove it: sampling then has its own defaults");
  return Pass(text.ok() ? "there" : "none: sampling has its own defaults");
}

Finding Quantization(Inspection& x) {
  if (absl::Status status = CheckQuantizationServed(x.config, kConfig); !status.ok())
    return Fail(status, "use the checkpoint in bfloat16, float16 or float32");
  return Pass("none");
}

Finding WeightFiles(Inspection& x) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> opened = Checkpoint::Open(x.dir);
  absl::Status status = opened.status();
  for (size_t i = 0; status.ok() && i < (*opened)->names().size(); ++i)
    status = (*opened)->Find((*opened)->names()[i]).status();  // maps its file, parses the header
  if (!status.ok()) return Fail(status, "download the checkpoint again");
  x.checkpoint = *std::move(opened);
  return Pass(absl::StrCat(Count(static_cast<int64_t>(x.checkpoint->names().size()), "tensor"),
                           ", ", BytesText(x.checkpoint->weight_bytes())));
}

}  // namespace keel::clauses
