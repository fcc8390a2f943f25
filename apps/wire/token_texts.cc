#include "apps/wire/token_texts.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace keel::apps {
namespace {

bool Continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Bytes of the character that `first` begins; 0 if it begins none.
size_t CharacterSize(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  if (first >= 0xF0 && first < 0xF5) return 4;
  return 0;
}

// Whole characters and nothing else, as far as where they begin and end.
bool IsWholeText(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = CharacterSize(static_cast<unsigned char>(bytes[at]));
    if (size == 0 || at + size > bytes.size()) return false;
    for (size_t i = 1; i < size; ++i) {
      if (!Continues(static_cast<unsigned char>(bytes[at + i]))) return false;
    }
    at += size;
  }
  return true;
}

std::string Escaped(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "bytes:";
  for (const unsigned char byte : bytes) {
    text += "\\x";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

size_t CountCharacters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return !Continues(static_cast<unsigned char>(c));
  }));
}

double FiniteLogprob(float logprob) {
  constexpr double kLowest = -9999;  // OpenAI's stand-in for minus infinity
  return std::isfinite(logprob) ? static_cast<double>(logprob) : kLowest;
}

const TokenText& TokenTexts::Get(int32_t id) {
  auto [it, is_new] = texts_.try_emplace(id);
  if (!is_new) return it->second;
  TokenText& token = it->second;
  const std::string by_id = "token_id:" + std::to_string(id);
  Result<Engine::TokenBytes> found = engine_.BytesOf(id);
  if (!found.ok()) {
    token.text = by_id;
    return token;
  }
  token.bytes = std::move(found->bytes);
  token.special = found->special;
  token.text = as_ids_ ? by_id : IsWholeText(token.bytes) ? token.bytes : Escaped(token.bytes);
  return token;
}

}  // namespace keel::apps
