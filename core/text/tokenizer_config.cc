#include "core/text/tokenizer_config.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr absl::string_view kConfigFile = "tokenizer_config.json";
constexpr absl::string_view kMapFile = "special_tokens_map.json";
constexpr absl::string_view kAddedFile = "added_tokens.json";

// In transformers' order; other roles end in "_token" too (image_token).
constexpr absl::string_view kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

// Classes whose pre-tokenizer is transformers' ByteLevel(add_prefix_space=...), without "Tokenizer".
constexpr absl::string_view kPrefixSpaceClasses[] = {"Bart",    "Blenderbot", "CodeGen", "Cohere",
                                                     "Deberta", "GPT2",       "GPTNeoX", "Luke",
                                                     "Roberta", "Whisper"};

// transformers writes 1e30 for "no limit".
constexpr double kNoLimit = 1e15;

absl::StatusOr<json::object> ParseObject(const std::string& text, absl::string_view where) {
  if (text.empty()) return json::object();
  KEEL_ASSIGN_OR_RETURN(json::value value, ParseJson(text, where));
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is ", JsonKindName(value), ", expected an object"));
  }
  return std::move(value.get_object());
}

absl::string_view View(const json::string& text) { return {text.data(), text.size()}; }

// The content of a token written as a string or as an AddedToken object; nullptr if it is neither.
const json::string* TokenText(const json::value& value) {
  if (value.is_string()) return &value.get_string();
  if (!value.is_object()) return nullptr;
  const json::value* content = value.get_object().if_contains("content");
  return content == nullptr ? nullptr : content->if_string();
}

// A token by role, or an extra one: special, and one that is among the added tokens already keeps
// its flags.
json::object SpecialToken(const json::value& value) {
  json::object token;
  if (const json::object* flags = value.if_object()) {
    token = *flags;
  } else {
    token["content"] = value;
  }
  token["special"] = true;
  token["keep"] = true;
  return token;
}

class ConfigReader {
 public:
  absl::StatusOr<TokenizerConfig> Read(const TextFiles& files) {
    KEEL_ASSIGN_OR_RETURN(fields_, ParseObject(files.tokenizer_config, kConfigFile));
    if (const json::value* decoder = fields_.if_contains("added_tokens_decoder")) {
      KEEL_RETURN_IF_ERROR(AddDecoder(*decoder));
    } else {
      KEEL_RETURN_IF_ERROR(AddOlderFiles(files));
    }
    KEEL_RETURN_IF_ERROR(AddRoles());
    KEEL_RETURN_IF_ERROR(AddExtraTokens());
    KEEL_RETURN_IF_ERROR(ReadChatTemplates());
    if (const json::value* length = fields_.if_contains("model_max_length");
        length != nullptr && length->is_number() && length->to_number<double>() < kNoLimit) {
      config_.model_max_length = static_cast<int64_t>(length->to_number<double>());
    }
    KEEL_RETURN_IF_ERROR(ReadPrefixSpace());
    return std::move(config_);
  }

 private:
  absl::Status ReadPrefixSpace() {
    const json::value* name = fields_.if_contains("tokenizer_class");
    const json::value* space = fields_.if_contains("add_prefix_space");
    if (name == nullptr || !name->is_string() || space == nullptr || space->is_null()) {
      return absl::OkStatus();
    }
    absl::string_view family = View(name->get_string());
    absl::ConsumeSuffix(&family, "Fast");
    if (!absl::ConsumeSuffix(&family, "Tokenizer")) return absl::OkStatus();
    if (!absl::c_linear_search(kPrefixSpaceClasses, family)) return absl::OkStatus();
    if (!space->is_bool()) return WrongKind("add_prefix_space", *space, "true or false");
    config_.add_prefix_space = space->get_bool();
    return absl::OkStatus();
  }

  // {"id": AddedToken}, in the order of the ids.
  absl::Status AddDecoder(const json::value& decoder) {
    if (!decoder.is_object()) return WrongKind("added_tokens_decoder", decoder, "an object");
    std::map<int64_t, json::object> by_id;
    for (const auto& [key, value] : decoder.get_object()) {
      int64_t id = 0;
      if (!absl::SimpleAtoi(absl::string_view(key.data(), key.size()), &id)) {
        return absl::InvalidArgumentError(absl::StrCat(kConfigFile, ": added_tokens_decoder.",
                                                       absl::string_view(key.data(), key.size()),
                                                       " is no token id"));
      }
      if (!value.is_object() || TokenText(value) == nullptr) {
        return WrongKind(absl::StrCat("added_tokens_decoder.", id), value,
                         "an object with \"content\"");
      }
      // An AddedToken that leaves "normalized" out means true here, where the special ones get it
      // from a file that always writes it.
      by_id[id] = value.get_object();
    }
    for (auto& [id, token] : by_id) config_.added_tokens.push_back(std::move(token));
    return absl::OkStatus();
  }

  // special_tokens_map.json overrides roles; added_tokens.json is {"token": id}.
  absl::Status AddOlderFiles(const TextFiles& files) {
    KEEL_ASSIGN_OR_RETURN(json::object roles, ParseObject(files.special_tokens_map, kMapFile));
    for (auto& [key, value] : roles) fields_[key] = std::move(value);
    KEEL_ASSIGN_OR_RETURN(json::object added, ParseObject(files.added_tokens, kAddedFile));
    std::map<int64_t, json::object> by_id;
    for (const auto& [key, value] : added) {
      if (!value.is_int64()) {
        return absl::InvalidArgumentError(
            absl::StrCat(kAddedFile, ": ", absl::string_view(key.data(), key.size()), " is ",
                         JsonSnippet(value), ", expected a token id"));
      }
      by_id[value.get_int64()] = json::object{{"content", key}, {"id", value}};
    }
    for (auto& [id, token] : by_id) config_.added_tokens.push_back(std::move(token));
    return absl::OkStatus();
  }

  absl::Status AddRoles() {
    for (absl::string_view role : kRoles) {
      const json::value* value = fields_.if_contains(std::string(role));
      if (value == nullptr || value->is_null()) continue;
      if (TokenText(*value) == nullptr) {
        return WrongKind(role, *value, "a token (a string or an object with \"content\")");
      }
      AddRole(role, *value);
    }
    // Model-specific ones, as strings only.
    for (const auto& [key, value] : fields_) {
      const absl::string_view role(key.data(), key.size());
      if (!absl::EndsWith(role, "_token") || !value.is_string()) continue;
      if (absl::c_linear_search(kRoles, role)) continue;
      AddRole(role, value);
    }
    return absl::OkStatus();
  }

  // extra_special_tokens: a list, or an object role -> token; additional_special_tokens is its old
  // name.
  absl::Status AddExtraTokens() {
    const json::value* extra = fields_.if_contains("extra_special_tokens");
    const bool unset = extra == nullptr || extra->is_null() ||
                       (extra->is_array() && extra->get_array().empty()) ||
                       (extra->is_object() && extra->get_object().empty());
    if (unset) extra = fields_.if_contains("additional_special_tokens");
    if (extra == nullptr || extra->is_null()) return absl::OkStatus();
    if (const json::object* roles = extra->if_object()) {
      for (const auto& [role, value] : *roles) {
        if (TokenText(value) == nullptr) return WrongKind("extra_special_tokens", value, "a token");
        AddRole(absl::string_view(role.data(), role.size()), value);
      }
      return absl::OkStatus();
    }
    if (!extra->is_array()) return WrongKind("extra_special_tokens", *extra, "a list of tokens");
    for (const json::value& value : extra->get_array()) {
      if (TokenText(value) == nullptr) return WrongKind("extra_special_tokens", value, "a token");
      config_.added_tokens.push_back(SpecialToken(value));
    }
    return absl::OkStatus();
  }

  void AddRole(absl::string_view role, const json::value& value) {
    config_.special_tokens[std::string(role)] = std::string(View(*TokenText(value)));
    config_.added_tokens.push_back(SpecialToken(value));
  }

  absl::Status ReadChatTemplates() {
    const json::value* templates = fields_.if_contains("chat_template");
    if (templates == nullptr || templates->is_null()) return absl::OkStatus();
    if (const json::string* source = templates->if_string()) {
      config_.chat_templates["default"] = std::string(View(*source));
      return absl::OkStatus();
    }
    if (!templates->is_array()) {
      return WrongKind("chat_template", *templates, "a string or a list of named templates");
    }
    for (const json::value& item : templates->get_array()) {
      KEEL_ASSIGN_OR_RETURN(std::string name, GetJson<std::string>(item, "/name", kConfigFile));
      KEEL_ASSIGN_OR_RETURN(config_.chat_templates[name],
                            GetJson<std::string>(item, "/template", kConfigFile));
    }
    return absl::OkStatus();
  }

  static absl::Status WrongKind(absl::string_view key, const json::value& found,
                                absl::string_view expected) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigFile, ": ", key, " is ",
                                                   JsonSnippet(found), " (", JsonKindName(found),
                                                   "), expected ", expected));
  }

  json::object fields_;
  TokenizerConfig config_;
};

}  // namespace

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const TextFiles& files) {
  return ConfigReader().Read(files);
}

}  // namespace keel
