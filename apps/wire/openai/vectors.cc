#include "apps/wire/openai/vectors.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include "apps/wire/known_fields.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr KnownField kCommon[] = {
    {"model"},
    {"use_activation"},
    {"add_special_tokens"},
    {"truncate_prompt_tokens"},
    {"priority"},
    {"cache_salt"},
    {"timeout_ms"},
    RefusedField("embed_dtype", "numbers are float32; leave it out"),
    RefusedField("endianness", "bytes are little-endian; leave it out"),
    RefusedField("messages", "messages are not served here, only texts and token ids"),
    RefusedField("mm_processor_kwargs", "images, audio and video are not served yet"),
    RefusedField("truncation_side", "what is too long loses its end; leave it out"),
    IgnoredField("request_id"),
    IgnoredField("user"),
};

void SetInt(Fields& fields, Request& request, const char* name, std::optional<int64_t> value) {
  if (!value.has_value()) return;
  const Status status = request.SetInt(name, *value);
  if (!status.ok()) fields.Fail(FromEngine(status, name));
}

std::optional<int64_t> AsInt(std::optional<bool> value) {
  return value.has_value() ? std::optional<int64_t>(*value ? 1 : 0) : std::nullopt;
}

}  // namespace

VectorModel DescribeVectors(const Engine& engine) {
  VectorModel out;
  const std::string_view text = engine.info();
  const json::value info = json::parse(json::string_view(text.data(), text.size()));
  Fields fields(info.get_object());
  out.task = std::string(fields.String("task").value_or("generate"));
  const json::object* pooling = fields.Object("pooling");
  if (pooling == nullptr) return out;
  Fields inner(*pooling);
  out.size = inner.Int("size").value_or(0);
  for (const std::string_view label : inner.Strings("labels")) out.labels.emplace_back(label);
  return out;
}

void CheckVectorFields(Fields& fields, std::initializer_list<std::string_view> own, Call* call) {
  std::vector<KnownField> known(std::begin(kCommon), std::end(kCommon));
  for (const std::string_view name : own) known.push_back({name});
  CheckNames(fields, known);
  call->unknown_fields = fields.unknown();
}

void CheckNumTexts(Fields& fields, const std::string& field, size_t texts,
                   const CallLimits& limits) {
  const int64_t most = limits.max_sequences;
  if (most < 0 || static_cast<int64_t>(texts) <= most) return;
  fields.Fail(InvalidField(field, std::to_string(texts) + " texts are more than the " +
                                      std::to_string(most) +
                                      " that the engine takes at once (--max-num-seqs and "
                                      "--max-queued-requests); send fewer"));
}

Request NewVectorRequest(Fields& fields, std::string_view field, const Prompt& prompt,
                         const std::string& task) {
  Request request;
  Status status = SetPrompt(prompt, request);
  if (status.ok()) status = request.SetString("task", task);
  if (!status.ok()) fields.Fail(FromEngine(status, std::string(field)));
  for (const char* name : {"dimensions", "priority", "timeout_ms", "truncate_prompt_tokens"})
    SetInt(fields, request, name, fields.Int(name));
  for (const char* name : {"add_special_tokens", "use_activation"})
    SetInt(fields, request, name, AsInt(fields.Bool(name)));
  if (const auto salt = fields.String("cache_salt"); salt.has_value() && fields.ok()) {
    if (status = request.SetString("cache_salt", *salt); !status.ok())
      fields.Fail(FromEngine(status, "cache_salt"));
  }
  return request;
}

VectorAnswer::VectorAnswer(std::string id, std::string model)
    : id_(std::move(id)),
      model_(std::move(model)),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

MaybeError VectorAnswer::Refuse(const Piece& piece) const {
  if (piece.output.finish_reason != "abort") return std::nullopt;
  return CallError{.code = ErrorCode::kUnavailable,
                   .message = "the request was cancelled before it had its vector"};
}

std::string VectorAnswer::Body() {
  json::object response = {
      {"id", id_}, {"object", "list"}, {"created", created_}, {"model", model_}};
  AddContent(response);
  response["usage"] = {{"prompt_tokens", usage().prompt_tokens},
                       {"total_tokens", usage().prompt_tokens},
                       {"completion_tokens", 0},
                       {"prompt_tokens_details", {{"cached_tokens", usage().cached_tokens}}}};
  return json::serialize(response);
}

double NumberOf(float number) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), number);
  double out = number;
  if (error == std::errc()) std::from_chars(text, end, out);
  return out;
}

json::array NumbersOf(std::span<const float> vector) {
  json::array out;
  out.reserve(vector.size());
  for (const float number : vector) out.emplace_back(NumberOf(number));
  return out;
}

std::string Base64Of(std::span<const float> vector) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const unsigned char*>(vector.data());
  const size_t n = vector.size_bytes();
  std::string out;
  out.reserve((n + 2) / 3 * 4);
  for (size_t i = 0; i < n; i += 3) {
    const size_t have = std::min<size_t>(3, n - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k)
      out.push_back(k <= have ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

}  // namespace keel::apps
