#include "core/chat/parsers/parsers.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/chat/parsers/deepseek_tools.h"
#include "core/chat/parsers/forced_tools.h"
#include "core/chat/parsers/harmony.h"
#include "core/chat/parsers/json_tools.h"
#include "core/chat/parsers/mistral_tools.h"
#include "core/chat/parsers/pythonic_tools.h"
#include "core/chat/parsers/xml_tools.h"

namespace keel {
namespace {

using Tools = std::shared_ptr<const ToolList>;
using Make = std::unique_ptr<ToolParser> (*)(const Tools& tools);

JsonCall::IsTool IsTool(const Tools& tools) {
  return [tools](absl::string_view name) { return tools->Has(name); };
}

template <typename Parser>
std::unique_ptr<ToolParser> Plain(const Tools&) {
  return std::make_unique<Parser>();
}
std::unique_ptr<ToolParser> Hermes(const Tools& tools) {
  return std::make_unique<JsonTools>(JsonToolsFormat{{"<tool_call>"}, {"</tool_call>"}},
                                     IsTool(tools));
}
std::unique_ptr<ToolParser> Llama3(const Tools& tools) {
  return std::make_unique<JsonTools>(JsonToolsFormat{{"<|python_tag|>"}, {"<|eom_id|>"}, true},
                                     IsTool(tools));
}
std::unique_ptr<ToolParser> Granite(const Tools& tools) {
  return std::make_unique<JsonTools>(
      JsonToolsFormat{{"<|tool_call|>", "<tool_call>"}, {"</tool_call>"}}, IsTool(tools));
}
std::unique_ptr<ToolParser> Phi4(const Tools& tools) {
  return std::make_unique<JsonTools>(
      JsonToolsFormat{{"functools", "<|tool_call|>"}, {"<|/tool_call|>"}}, IsTool(tools));
}
std::unique_ptr<ToolParser> Pythonic(const Tools& tools) {
  return std::make_unique<PythonicTools>(IsTool(tools));
}
std::unique_ptr<ToolParser> Xml(const Tools& tools) {
  return std::make_unique<XmlTools>([tools](absl::string_view tool, absl::string_view parameter) {
    return tools->IsString(tool, parameter);
  });
}

struct ToolRow {
  absl::string_view name;
  Make make;
};
constexpr ToolRow kTools[] = {
    {"hermes", Hermes},
    {"qwen3_coder", Xml},
    {"qwen3_xml", Xml},
    {"llama3_json", Llama3},
    {"llama4_json", Llama3},
    {"pythonic", Pythonic},
    {"llama4_pythonic", Pythonic},
    {"mistral", Plain<MistralTools>},
    {"deepseek_v3", Plain<DeepseekTools>},
    {"deepseek_v31", Plain<DeepseekTools>},
    {"granite", Granite},
    {"phi4_mini_json", Phi4},
    {"openai", Plain<Harmony>},
};

struct ReasoningRow {
  absl::string_view name;
  ReasoningFormat format;
};
constexpr ReasoningRow kReasoning[] = {
    {"deepseek_r1", {"<think>", "</think>", /*begins_within=*/true}},
    {"qwen3", {"<think>", "</think>"}},
    {"deepseek_v3", {"<think>", "</think>"}},
    {"glm45", {"<think>", "</think>"}},
    {"mistral", {"[THINK]", "[/THINK]"}},
    {"seed_oss", {"<seed:think>", "</seed:think>"}},
    {"granite", {"Here is my thought process:", "Here is my response:"}},
    {"openai_gptoss", {}},  // the parser of calls does both
};
constexpr absl::string_view kHarmonyTools = "openai", kHarmonyReasoning = "openai_gptoss";

template <size_t kN, typename Row>
const Row* Find(const Row (&rows)[kN], absl::string_view name) {
  const auto it = std::find_if(std::begin(rows), std::end(rows),
                               [&](const Row& row) { return row.name == name; });
  return it == std::end(rows) ? nullptr : it;
}

template <size_t kN, typename Row>
std::vector<std::string> NamesOf(const Row (&rows)[kN]) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

absl::Status Choose(absl::string_view flag, bool is_known, const std::string& guess,
                    const std::vector<std::string>& known, std::string* name) {
  if (*name == "auto") {
    *name = guess;
  } else if (*name == "none") {
    name->clear();
  } else if (!is_known) {
    return WithFlag(
        absl::InvalidArgumentError(absl::StrCat(
            "--", flag, " is ", *name, ", expected auto, none, ", absl::StrJoin(known, ", "))),
        flag);
  }
  return absl::OkStatus();
}

// Harmony puts both into one format, so either name means it.
bool IsHarmony(const ParserNames& names) {
  return names.tools == kHarmonyTools || names.reasoning == kHarmonyReasoning;
}

std::optional<ReasoningSplitter> ReasoningOf(const ParserNames& names, absl::string_view prompt) {
  const ReasoningFormat* format = ReasoningFormatOf(names);
  if (format == nullptr) return std::nullopt;
  return ReasoningSplitter(*format, prompt);
}

// A grammar makes the answer a call, without marks around it.
bool IsForced(ToolUse use) { return use == ToolUse::kRequired || use == ToolUse::kNamed; }

}  // namespace

std::vector<std::string> ToolParserNames() { return NamesOf(kTools); }
std::vector<std::string> ReasoningParserNames() { return NamesOf(kReasoning); }

ParserNames GuessParsers(absl::string_view source) {
  // The most particular first: several formats stand in one pair of tags.
  constexpr std::pair<absl::string_view, absl::string_view> kToolSigns[] = {
      {"<|channel|>", kHarmonyTools},
      {"tool\xE2\x96\x81"
       "calls\xE2\x96\x81"
       "begin",
       "deepseek_v3"},
      {"<function=", "qwen3_coder"},
      {"[TOOL_CALLS]", "mistral"},
      {"<|/tool_call|>", "phi4_mini_json"},
      {"functools[", "phi4_mini_json"},
      {"<|tool_call|>", "granite"},
      {"<tool_call>", "hermes"},
      {"<|python_start|>", "llama4_pythonic"},
      {"<|python_tag|>", "llama3_json"},
  };
  constexpr std::pair<absl::string_view, absl::string_view> kReasoningSigns[] = {
      {"<|channel|>", kHarmonyReasoning},
      {"<seed:think>", "seed_oss"},
      {"</think>", "qwen3"},
      {"[THINK]", "mistral"},
      {"Here is my thought process:", "granite"},
  };
  ParserNames names;
  for (const auto& [sign, name] : kToolSigns) {
    if (names.tools.empty() && absl::StrContains(source, sign)) names.tools = std::string(name);
  }
  for (const auto& [sign, name] : kReasoningSigns) {
    if (names.reasoning.empty() && absl::StrContains(source, sign))
      names.reasoning = std::string(name);
  }
  return names;
}

absl::StatusOr<ParserNames> ChooseParsers(const ParserNames& asked, absl::string_view source) {
  const ParserNames guess = GuessParsers(source);
  ParserNames names = asked;
  KEEL_RETURN_IF_ERROR(Choose("tool-call-parser", Find(kTools, names.tools) != nullptr, guess.tools,
                              ToolParserNames(), &names.tools));
  KEEL_RETURN_IF_ERROR(Choose("reasoning-parser", Find(kReasoning, names.reasoning) != nullptr,
                              guess.reasoning, ReasoningParserNames(), &names.reasoning));
  return names;
}

const ReasoningFormat* ReasoningFormatOf(const ParserNames& names) {
  const ReasoningRow* row = IsHarmony(names) ? nullptr : Find(kReasoning, names.reasoning);
  return row == nullptr ? nullptr : &row->format;
}

OutputParser MakeOutputParser(const ParserNames& names, const ParserRequest& request) {
  if (IsForced(request.use)) {
    std::unique_ptr<ToolParser> tools;
    if (request.use == ToolUse::kNamed) {
      tools = std::make_unique<NamedTool>(request.named);
    } else {
      tools = std::make_unique<JsonTools>(JsonToolsFormat{{}, {}, true, true}, JsonCall::IsTool());
    }
    return OutputParser(ReasoningOf(names, request.prompt), std::move(tools));
  }
  if (IsHarmony(names)) return OutputParser(std::nullopt, std::make_unique<Harmony>());
  std::unique_ptr<ToolParser> tools;
  if (const ToolRow* row = Find(kTools, names.tools);
      row != nullptr && request.use == ToolUse::kAuto)
    tools = row->make(request.tools);
  return OutputParser(ReasoningOf(names, request.prompt), std::move(tools));
}

std::vector<absl::string_view> MarkersOf(const ParserNames& names, ToolUse use) {
  std::vector<absl::string_view> markers;
  const auto add = [&](absl::Span<const absl::string_view> more) {
    markers.insert(markers.end(), more.begin(), more.end());
  };
  if (IsHarmony(names)) {
    if (!IsForced(use)) add(Harmony::Markers());
    return markers;
  }
  if (const ReasoningFormat* format = ReasoningFormatOf(names)) add({format->begin, format->end});
  if (use != ToolUse::kAuto) return markers;
  if (absl::StartsWith(names.tools, "deepseek")) {
    add(DeepseekTools::Markers());
  } else if (!names.tools.empty()) {
    add({"<tool_call>", "</tool_call>", "<|tool_call|>", "<|/tool_call|>", "<|python_tag|>",
         "<|python_start|>", "<|python_end|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"});
  }
  return markers;
}

}  // namespace keel
