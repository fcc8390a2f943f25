#include "core/plugin/note.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "sdk/abi/plugin_note.h"

namespace keel {
namespace {

constexpr size_t kMaxNameLength = 200;
constexpr size_t kMaxNames = 1024;

absl::Status BadNote(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("its Keel note: ", what));
}

absl::Status ReadNames(absl::string_view key, absl::string_view value,
                       std::vector<std::string>& names) {
  names = absl::StrSplit(value, ',', absl::SkipEmpty());
  if (names.size() > kMaxNames) return BadNote(absl::StrCat(key, " has more than 1024 names"));
  for (const std::string& name : names) {
    if (!IsPluginName(name)) {
      return BadNote(absl::StrCat(key, " has the name '", absl::CHexEscape(name.substr(0, 40)),
                                  "', expected 1 to 200 printable characters"));
    }
  }
  SortNames(names);
  return absl::OkStatus();
}

absl::Status ReadLine(absl::string_view line, PluginNote& note) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits('=', 1));
  const auto [key, value] = parts;
  if (key == "id" || key == "version") {
    if (!IsPluginName(value)) {
      return BadNote(absl::StrCat(key, " is '", absl::CHexEscape(value.substr(0, 40)),
                                  "', expected 1 to 200 printable characters"));
    }
    (key == "id" ? note.id : note.version) = std::string(value);
    return absl::OkStatus();
  }
  if (key == "architectures") return ReadNames(key, value, note.architectures);
  if (key == "model_types") return ReadNames(key, value, note.model_types);
  if (key == "attention") return ReadNames(key, value, note.attention);
  if (key == "kernels") return ReadNames(key, value, note.kernels);
  if (key == "processors") return ReadNames(key, value, note.processors);
  return absl::OkStatus();  // of a later SDK
}

absl::Status CompareText(absl::string_view what, absl::string_view note, absl::string_view loaded) {
  if (note == loaded) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("its Keel note says ", what, " '", note,
                                                    "', its code says '", loaded,
                                                    "'; build both from one source"));
}

absl::Status CompareNames(absl::string_view what, const std::vector<std::string>& note,
                          const std::vector<std::string>& loaded) {
  return CompareText(what, absl::StrJoin(note, ","), absl::StrJoin(loaded, ","));
}

}  // namespace

void SortNames(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

bool IsPluginName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c <= '~' && c != ',' && c != '"' && c != '\'' && c != '\\';
  });
}

absl::StatusOr<PluginNote> ParsePluginNote(absl::string_view content) {
  PluginNote note;
  if (content.size() < 2 * sizeof(uint32_t)) return BadNote("too short");
  if (content.size() > KEEL_NOTE_MAX_BYTES) return BadNote("larger than 64 KiB");
  std::memcpy(&note.abi_major, content.data(), sizeof(uint32_t));
  std::memcpy(&note.abi_minor, content.data() + sizeof(uint32_t), sizeof(uint32_t));
  content.remove_prefix(2 * sizeof(uint32_t));
  if (!content.empty() && content.back() == '\0') content.remove_suffix(1);
  for (const absl::string_view line : absl::StrSplit(content, '\n', absl::SkipEmpty())) {
    KEEL_RETURN_IF_ERROR(ReadLine(line, note));
  }
  if (note.id.empty()) return BadNote("no id");
  if (note.version.empty()) return BadNote("no version");
  return note;
}

absl::Status CheckPluginAbi(AbiVersion plugin, AbiVersion host) {
  const bool same_major = plugin.major == host.major;
  if (same_major && (host.major > 0 || plugin.minor == host.minor)) return absl::OkStatus();
  const bool newer = same_major ? plugin.minor > host.minor : plugin.major > host.major;
  const std::string spoken = absl::StrCat(host.major, ".", host.minor);
  return absl::FailedPreconditionError(
      absl::StrCat("needs ABI ", plugin.major, ".", plugin.minor, ", this host speaks ", spoken,
                   "; build it with an SDK of ", spoken, newer ? " or update keel" : ""));
}

absl::Status CompareNotes(const PluginNote& note, const PluginNote& loaded) {
  const auto abi = [](const PluginNote& n) { return absl::StrCat(n.abi_major, ".", n.abi_minor); };
  KEEL_RETURN_IF_ERROR(CompareText("ABI", abi(note), abi(loaded)));
  KEEL_RETURN_IF_ERROR(CompareText("id", note.id, loaded.id));
  KEEL_RETURN_IF_ERROR(CompareText("version", note.version, loaded.version));
  KEEL_RETURN_IF_ERROR(CompareNames("architectures", note.architectures, loaded.architectures));
  KEEL_RETURN_IF_ERROR(CompareNames("model_types", note.model_types, loaded.model_types));
  KEEL_RETURN_IF_ERROR(CompareNames("attention", note.attention, loaded.attention));
  KEEL_RETURN_IF_ERROR(CompareNames("kernels", note.kernels, loaded.kernels));
  return CompareNames("processors", note.processors, loaded.processors);
}

}  // namespace keel
