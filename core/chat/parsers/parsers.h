// Which parsers there are, by vLLM's names, and which of them a chat template's models need.
#ifndef KEEL_CORE_CHAT_PARSERS_PARSERS_H_
#define KEEL_CORE_CHAT_PARSERS_PARSERS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/chat/parsers/output_parser.h"
#include "core/chat/parsers/tool_list.h"

namespace keel {

// Names of parsers; "": none.
struct ParserNames {
  std::string tools, reasoning;
};

// All names, for messages.
std::vector<std::string> ToolParserNames();
std::vector<std::string> ReasoningParserNames();

// What the source of a chat template shows that its models write.
ParserNames GuessParsers(absl::string_view template_source);

// `asked` with "auto" replaced by the guess and "none" by "". kInvalidArgument, with the flag: there is
// none of that name.
absl::StatusOr<ParserNames> ChooseParsers(const ParserNames& asked,
                                          absl::string_view template_source);

// Who may call what.
enum class ToolUse {
  kNone,      // nobody: calls are not looked for
  kAuto,      // the model may, in its own format
  kRequired,  // it does: a grammar makes its text ToolList::CallsSchema's
  kNamed,     // it calls one tool: a grammar makes its text ToolList::ArgumentsSchema's
};

struct ParserRequest {
  std::shared_ptr<const ToolList> tools;  // not null
  ToolUse use = ToolUse::kNone;
  std::string named = {};         // tool, of kNamed
  absl::string_view prompt = {};  // what the text follows; only its end is looked at
};

// Never null; names as ChooseParsers gives them.
OutputParser MakeOutputParser(const ParserNames& names, const ParserRequest& request);

// How reasoning is marked in the texts of these parsers' models; null: nothing tells it apart, or (gpt-oss) it
// stands among other parts.
const ReasoningFormat* ReasoningFormatOf(const ParserNames& names);

// Texts that the parser of such a request looks for and a tokenizer may hold as special tokens, which the
// text must keep.
std::vector<absl::string_view> MarkersOf(const ParserNames& names, ToolUse use);

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_PARSERS_H_
