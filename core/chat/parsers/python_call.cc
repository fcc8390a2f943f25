#include "core/chat/parsers/python_call.h"

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace keel {
namespace {

constexpr int kMaxDepth = 32;

std::string Quoted(const std::string& text) {
  return boost::json::serialize(boost::json::string(text));
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto add = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6);
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

// Reads literals and writes JSON. Every function returns false where there is none.
class LiteralReader {
 public:
  explicit LiteralReader(absl::string_view text) : rest_(text) {}

  // "name=value, ..." to the end.
  bool Arguments(std::string* out) {
    *out = "{";
    for (Spaces(); !rest_.empty(); Spaces()) {
      const std::string name = Name();
      if (name.empty() || !Take('=')) return false;
      if (out->size() > 1) *out += ", ";
      *out += Quoted(name) + ": ";
      if (!Value(out, 0)) return false;
      if (!Take(',') && !rest_.empty()) return false;
    }
    *out += "}";
    return true;
  }

 private:
  void Spaces() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }
  bool Take(char c) {
    Spaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    Spaces();
    return true;
  }
  std::string Name() {
    size_t n = 0;
    while (n < rest_.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '_')) {
      ++n;
    }
    std::string name(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return name;
  }

  bool Value(std::string* out, int depth) {
    Spaces();
    if (rest_.empty() || depth > kMaxDepth) return false;
    const char c = rest_.front();
    if (c == '\'' || c == '"') {
      std::string text;
      if (!String(&text)) return false;
      *out += Quoted(text);
      return true;
    }
    if (c == '[' || c == '(') return List(c == '[' ? ']' : ')', out, depth);
    if (c == '{') return Dictionary(out, depth);
    return Number(out) || Word(out);
  }

  bool List(char end, std::string* out, int depth) {
    rest_.remove_prefix(1);
    *out += "[";
    for (bool first = true; !Take(end); first = false) {
      if (!first) *out += ", ";
      if (!Value(out, depth + 1)) return false;
      if (!Take(',') && (rest_.empty() || rest_.front() != end)) return false;
    }
    *out += "]";
    return true;
  }

  bool Dictionary(std::string* out, int depth) {
    rest_.remove_prefix(1);
    *out += "{";
    for (bool first = true; !Take('}'); first = false) {
      if (!first) *out += ", ";
      std::string key;
      if (!String(&key) || !Take(':')) return false;
      *out += Quoted(key) + ": ";
      if (!Value(out, depth + 1)) return false;
      if (!Take(',') && (rest_.empty() || rest_.front() != '}')) return false;
    }
    *out += "}";
    return true;
  }

  bool Word(std::string* out) {
    const std::string word = Name();
    if (word == "True" || word == "true") {
      *out += "true";
    } else if (word == "False" || word == "false") {
      *out += "false";
    } else if (word == "None" || word == "null") {
      *out += "null";
    } else {
      return false;
    }
    return true;
  }

  bool Number(std::string* out) {
    size_t n = 0;
    while (n < rest_.size() && (absl::ascii_isdigit(static_cast<unsigned char>(rest_[n])) ||
                                absl::string_view("+-.eE_").find(rest_[n]) != std::string::npos)) {
      ++n;
    }
    std::string digits;
    for (const char c : rest_.substr(0, n)) {
      if (c != '_') digits += c;
    }
    int64_t whole = 0;
    double number = 0;
    if (digits.empty() || digits.front() == 'e' || digits.front() == 'E') return false;
    if (absl::SimpleAtoi(digits, &whole)) {
      *out += std::to_string(whole);
    } else if (absl::SimpleAtod(digits, &number)) {
      *out += boost::json::serialize(boost::json::value(number));
    } else {
      return false;
    }
    rest_.remove_prefix(n);
    return true;
  }

  bool Hex(size_t n, std::string* out) {
    uint32_t code = 0;
    if (rest_.size() < n || !absl::SimpleHexAtoi(rest_.substr(0, n), &code) || code > 0x10FFFF)
      return false;
    rest_.remove_prefix(n);
    AppendUtf8(code, out);
    return true;
  }

  bool Escape(std::string* out) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    switch (c) {
      case 'n':
        *out += '\n';
        return true;
      case 't':
        *out += '\t';
        return true;
      case 'r':
        *out += '\r';
        return true;
      case 'x':
        return Hex(2, out);
      case 'u':
        return Hex(4, out);
      case 'U':
        return Hex(8, out);
      case '\\':
      case '\'':
      case '"':
        *out += c;
        return true;
      default:  // as Python leaves it
        *out += '\\';
        *out += c;
        return true;
    }
  }

  bool String(std::string* out) {
    Spaces();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return false;
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == quote) return true;
      if (c != '\\') {
        *out += c;
      } else if (!Escape(out)) {
        return false;
      }
    }
    return false;
  }

  absl::string_view rest_;
};

}  // namespace

std::optional<std::string> PythonArgumentsJson(absl::string_view arguments) {
  std::string out;
  if (!LiteralReader(arguments).Arguments(&out)) return std::nullopt;
  return out;
}

}  // namespace keel
