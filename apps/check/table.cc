#include "apps/check/table.h"

#include <algorithm>
#include <sstream>
#include <string_view>

#include "apps/common/json_fields.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr size_t kIndent = 20;  // where texts begin: after verdict and code

struct Colour {
  std::string_view verdict, sequence;
};
constexpr Colour kColours[] = {
    {"pass", "\033[32m"}, {"warn", "\033[33m"}, {"fail", "\033[31m"}, {"skip", "\033[2m"}};

std::string Coloured(const std::string& word, const std::string& verdict, bool colour) {
  if (!colour) return word;
  for (const Colour& of : kColours) {
    if (of.verdict == verdict) return std::string(of.sequence) + word + "\033[0m";
  }
  return word;
}

// `text` in lines of `width` columns that begin with `indent` spaces; the first has them already.
std::string Wrap(const std::string& text, size_t indent, size_t width) {
  std::istringstream words(text);
  std::string out, word;
  size_t at = indent;
  while (words >> word) {
    if (at > indent && at + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      at = indent;
    } else if (at > indent) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
  }
  return out + "\n";
}

std::string FormatClause(const json::object& clause, const TableOptions& options) {
  const std::string verdict = TextField(clause, "verdict");
  std::string out =
      Coloured(verdict, verdict, options.colour) + "  " + TextField(clause, "code") + "  ";
  out +=
      Wrap(TextField(clause, "title") + ": " + TextField(clause, "found"), kIndent, options.width);
  const std::string spaces(kIndent, ' ');
  const json::value* details = clause.if_contains("details");
  const bool is_good = verdict == "pass" || verdict == "skip";
  if (details != nullptr && details->is_array() && (options.details || !is_good)) {
    for (const json::value& detail : details->get_array()) {
      if (!detail.is_string()) continue;
      out += spaces + "- " + Wrap(std::string(detail.get_string()), kIndent + 2, options.width);
    }
  }
  if (const std::string remedy = TextField(clause, "remedy"); !remedy.empty())
    out += spaces + "-> " + Wrap(remedy, kIndent + 3, options.width);
  return out;
}

std::string FormatCounts(const json::object& report, bool colour) {
  const json::value* counts = report.if_contains("counts");
  if (counts == nullptr || !counts->is_object()) return "";
  std::string out;
  for (const Colour& of : kColours) {
    const std::string verdict(of.verdict);
    const int64_t count = NumberField(counts->get_object(), verdict);
    if (count == 0 && verdict != "fail") continue;
    out += (out.empty() ? "" : ", ") +
           Coloured(std::to_string(count) + " " + verdict, count == 0 ? "" : verdict, colour);
  }
  return out + "\n";
}

}  // namespace

std::string FormatReport(const json::object& report, const TableOptions& options) {
  std::string out;
  if (const json::value* clauses = report.if_contains("clauses");
      clauses != nullptr && clauses->is_array()) {
    for (const json::value& clause : clauses->get_array()) {
      if (clause.is_object()) out += FormatClause(clause.get_object(), options);
    }
  }
  return out + FormatCounts(report, options.colour);
}

}  // namespace keel::apps
