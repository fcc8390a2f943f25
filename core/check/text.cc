// The clauses about text and media: tokenizer, templates, processor.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/check/clauses.h"
#include "core/check/words.h"

namespace keel::clauses {
namespace {

// Which of the hooks that a multimodal processor has (docs/abi.md, "Media") a class brings.
std::vector<std::string> HooksOf(const keel_processor_class& processor) {
  const auto line = [](const char* hook, bool is_there, const char* without) {
    return absl::StrCat(hook, ": ", is_there ? "the plugin's" : without);
  };
  return {line("image_token, image_token_ids (tokens)", processor.tokens != nullptr, "missing"),
          line("get_num_multimodal_tokens (count)", processor.count != nullptr, "missing"),
          line("pixel values and samples (preprocess)", processor.preprocess != nullptr, "missing"),
          line("text of an item (replacement)", processor.replacement != nullptr, "missing"),
          line("mm_token_type_ids (expand)", processor.expand != nullptr, "the host's"),
          line("chat template (chat)", processor.chat != nullptr, "the checkpoint's"),
          line("positions (positions)", processor.positions != nullptr, "0 to n - 1")};
}

// "; takes images, sounds": what the graph encodes, once it is known.
std::string TakesText(const proto::Graph& graph) {
  constexpr std::pair<const char*, const char*> kWords[] = {
      {"encode/image", "images"}, {"encode/video", "videos"}, {"encode/audio", "sounds"}};
  if (graph.functions().empty()) return "";
  std::vector<std::string> taken;
  for (const auto& [function, word] : kWords) {
    for (const proto::Function& f : graph.functions())
      if (f.name() == function) taken.push_back(word);
  }
  return taken.empty() ? "; the graph encodes nothing: media are refused"
                       : absl::StrCat("; takes ", absl::StrJoin(taken, ", "));
}

// What is known of a processor that a plugin brings; nothing if the plugin may not run here.
std::vector<std::string> Describe(const NamedProcessor& processor, const PluginTrust& trust) {
  if (trust.IsForJail(*processor.plugin)) return {};
  const auto plugin = LoadPlugin(*processor.plugin, trust);
  if (!plugin.ok()) return {std::string(plugin.status().message())};
  const keel_processor_class* found = (*plugin)->FindProcessor(processor.name);
  return found == nullptr ? std::vector<std::string>() : HooksOf(*found);
}

}  // namespace

Finding TextFilesWork(Inspection& x) {
  absl::StatusOr<Text> text = x.loading_text.get();
  if (!text.ok()) {
    return Fail(text.status(),
                "save the tokenizer anew with transformers: AutoTokenizer.from_pretrained(...)"
                ".save_pretrained(...)");
  }
  x.text = *std::move(text);
  return Pass(absl::StrCat("tokenizer.json, ", x.text.tokenizer->vocab_size(), " tokens"));
}

Finding TokenIds(Inspection& x) {
  const int64_t rows = x.graph.spec().vocab_size();
  if (x.text.tokenizer->vocab_size() > rows) {
    return Fail(absl::StrCat("the tokenizer has ", x.text.tokenizer->vocab_size(),
                             " tokens, the model ", rows),
                "see whether the tokenizer belongs to these weights");
  }
  std::set<int64_t> ends;
  if (const auto eos = x.text.tokenizer->eos_id()) ends.insert(*eos);
  if (x.checkpoint != nullptr) {
    const auto& ids = x.checkpoint->generation_config().eos_token_ids;
    ends.insert(ids.begin(), ids.end());
  }
  if (ends.empty()) {
    return Warn("no token ends a text: answers go on to max_tokens",
                "add eos_token_id to generation_config.json");
  }
  if (*ends.rbegin() >= rows || *ends.begin() < 0) {
    return Fail(
        absl::StrCat("eos_token_id ", absl::StrJoin(ends, ", "), " of a vocabulary of ", rows),
        "mend eos_token_id in generation_config.json or config.json");
  }
  return Pass(absl::StrCat(x.text.tokenizer->vocab_size(), " of ", rows, "; texts end with ",
                           absl::StrJoin(ends, ", ")));
}

Finding Template(Inspection& x) {
  if (x.text.chat_template == nullptr) return Pass("none: completions are served, chat is refused");
  return Pass(absl::StrJoin(x.text.chat_template->names(), ", "));
}

Finding Processor(Inspection& x) {
  const PluginRef of_model = x.choice.has_value() ? x.choice->plugin : PluginRef();
  const auto processor = FindProcessor(*x.checkpoint, *x.plugins, of_model);
  if (!processor.ok()) return Fail(processor.status(), "mend the file");
  if (processor->plugin != nullptr) {
    const std::string what =
        absl::StrCat(processor->file, ": ", processor->name, " of ", processor->plugin->name);
    if (NeedsTrust(*processor, x.options.engine.model.remote_code)) {
      return Warn(absl::StrCat(what,
                               ", which comes with the checkpoint and is not run unasked: text "
                               "alone is served"),
                  "if media are needed, --trust-remote-code");
    }
    const char* jail = x.trust->IsForJail(*processor->plugin) ? ", in a jail" : "";
    return Pass(absl::StrCat(what, jail, TakesText(x.graph)), Describe(*processor, *x.trust));
  }
  for (const char* key : {"/vision_config", "/audio_config"}) {
    const boost::json::value* config = FindJsonValue(x.config, key);
    if (config == nullptr || config->is_null()) continue;
    return Warn(absl::StrCat("config.json has ", key + 1,
                             ", and no plugin brings a processor: text "
                             "alone is served"),
                "give a plugin with the processor by --plugin-path");
  }
  return Pass("none is needed: text alone");
}

}  // namespace keel::clauses
