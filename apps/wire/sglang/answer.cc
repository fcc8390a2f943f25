#include "apps/wire/sglang/answer.h"

#include <algorithm>
#include <utility>

#include "apps/wire/sglang/error.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

void AppendEvent(const json::object& data, std::string* events) {
  events->append("data: ").append(json::serialize(data)).append("\n\n");
}

json::array Ids(const std::vector<int32_t>& ids) { return json::array(ids.begin(), ids.end()); }

// {"type": "stop", "matched"}, {"type": "length", "length"}, {"type": "abort", "message"}; null while the
// sequence runs.
json::value FinishReason(const OwnedOutput& output) {
  if (output.finish_reason.empty()) return nullptr;
  json::object reason = {{"type", output.finish_reason}};
  if (output.finish_reason == "length") {
    reason["length"] = output.tokens.size();
  } else if (output.finish_reason != "stop") {
    reason["message"] = "the request was aborted";
  } else if (output.stop_token.has_value()) {
    reason["matched"] = *output.stop_token;
  } else if (!output.stop_reason.empty()) {
    reason["matched"] = output.stop_reason;
  } else {
    // The token that ends a text.
    reason["matched"] = output.tokens.empty() ? json::value() : json::value(output.tokens.back());
  }
  return reason;
}

}  // namespace

json::array SglangAnswer::Triple(int32_t token, json::value logprob) {
  json::value text;
  if (options_.texts_in_logprobs) text = json::value(texts_.Text(token));
  return {std::move(logprob), token, std::move(text)};
}

json::value SglangAnswer::TopTriples(const OwnedLogprob& logprob) {
  json::array all;
  for (size_t i = 0; i < logprob.top_tokens.size(); ++i)
    all.push_back(Triple(logprob.top_tokens[i], FiniteLogprob(logprob.top_logprobs[i])));
  return all;
}

void SglangAnswer::AddLogprobs(const Piece& whole, json::object* meta) {
  const SglangPromptOptions& options = options_.prompts[whole.prompt];
  json::array input, input_top, output, output_top;
  if (const PromptTokens* prompt = whole.prompt_tokens.get(); prompt != nullptr) {
    const size_t size = prompt->ids.size();
    const size_t last = size == 0 ? 0 : size - 1;
    const size_t first = options.logprob_start < 0
                             ? last
                             : std::min(static_cast<size_t>(options.logprob_start), size);
    for (size_t i = first; i < size; ++i) {
      // Nothing comes before the first, as the protocol counts.
      const bool has = i > first && i < prompt->logprobs.size() && prompt->logprobs[i].has_value();
      input.push_back(
          Triple(prompt->ids[i],
                 has ? json::value(FiniteLogprob(prompt->logprobs[i]->logprob)) : json::value()));
      input_top.push_back(has ? TopTriples(*prompt->logprobs[i]) : json::value());
    }
  }
  const std::vector<OwnedLogprob>& logprobs = whole.output.logprobs;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    output.push_back(Triple(whole.output.tokens[i], FiniteLogprob(logprobs[i].logprob)));
    output_top.push_back(TopTriples(logprobs[i]));
  }
  (*meta)["input_token_logprobs"] = std::move(input);
  (*meta)["output_token_logprobs_length"] = output.size();
  (*meta)["output_token_logprobs"] = std::move(output);
  if (!options.top_logprobs) return;
  (*meta)["input_top_logprobs"] = std::move(input_top);
  (*meta)["output_top_logprobs"] = std::move(output_top);
}

json::object SglangAnswer::MetaInfo(const Piece& whole) {
  const SglangPromptOptions& options = options_.prompts[whole.prompt];
  std::string id = options.id;
  if (options.n > 1) id += "_" + std::to_string(whole.output.index);
  json::object meta = {{"id", id},
                       {"finish_reason", FinishReason(whole.output)},
                       {"prompt_tokens", whole.output.prompt_tokens},
                       {"weight_version", "default"}};
  if (options.logprobs) AddLogprobs(whole, &meta);
  meta["completion_tokens"] = whole.output.tokens.size();
  meta["cached_tokens"] = whole.output.cached_tokens;
  if (!whole.output.finish_reason.empty()) {
    meta["e2e_latency"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  return meta;
}

json::object SglangAnswer::Sequence(const Piece& whole) {
  json::object sequence = {{"text", whole.output.text}, {"output_ids", Ids(whole.output.tokens)}};
  if (options_.prompt_token_ids && whole.prompt_tokens != nullptr)
    sequence["prompt_token_ids"] = Ids(whole.prompt_tokens->ids);
  sequence["meta_info"] = MetaInfo(whole);
  return sequence;
}

std::string SglangAnswer::Body() {
  json::array all;
  for (const auto& [id, whole] : collected()) all.push_back(Sequence(whole));
  return json::serialize(options_.in_list || all.empty() ? json::value(std::move(all))
                                                         : std::move(all.front()));
}

size_t SglangAnswer::IndexOf(const Piece& piece) const {
  int64_t index = piece.output.index;
  for (size_t i = 0; i < piece.prompt; ++i) index += options_.prompts[i].n;
  return static_cast<size_t>(index);
}

void SglangAnswer::AppendPiece(const Piece& piece, std::string* events) {
  const SequenceId id(piece.prompt, piece.output.index);
  auto [it, is_new] = so_far_.try_emplace(id, piece);
  if (!is_new) it->second.output.Append(OwnedOutput(piece.output));
  json::object event = Sequence(it->second);
  if (options_.incremental) {
    event["text"] = piece.output.text;
    event["output_ids"] = Ids(piece.output.tokens);
  }
  if (options_.in_list) event["index"] = IndexOf(piece);
  AppendEvent(event, events);
  if (!piece.output.finish_reason.empty()) it->second = Piece();  // nothing more comes of it
}

void SglangAnswer::AppendError(const CallError& error, std::string* events) {
  AppendEvent(SglangStreamError(error), events);
}

void SglangAnswer::AppendLast(std::string* events) { events->append("data: [DONE]\n\n"); }

}  // namespace keel::apps
