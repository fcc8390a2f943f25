// sdk/abi/engine.h: what an output holds.
#include "absl/strings/str_cat.h"
#include "core/capi/handles.h"
#include "sdk/abi/engine.h"

namespace {

keel_status GiveLogprob(const std::vector<keel::SampledToken>& tokens, size_t i, float* logprob,
                        const int32_t** top_tokens, const float** top_logprobs, size_t* n_top) {
  return keel::Guard([&] {
    if (i >= tokens.size())
      return absl::NotFoundError(
          absl::StrCat("no log-probability of token ", i, " in this output"));
    *logprob = tokens[i].logprob;
    *top_tokens = tokens[i].top_tokens.data();
    *top_logprobs = tokens[i].top_logprobs.data();
    *n_top = tokens[i].top_tokens.size();
    return absl::OkStatus();
  });
}

}  // namespace

extern "C" {

uint64_t keel_output_request(const keel_output* output) { return output->output.request; }
uint32_t keel_output_index(const keel_output* output) { return output->output.index; }

const char* keel_output_text(const keel_output* output, size_t* n) {
  *n = output->output.text.size();
  return output->output.text.c_str();
}

const int32_t* keel_output_tokens(const keel_output* output, size_t* n) {
  *n = output->output.tokens.size();
  return output->output.tokens.data();
}

keel_status keel_output_logprob(const keel_output* output, size_t i, float* logprob,
                                const int32_t** top_tokens, const float** top_logprobs,
                                size_t* n_top) {
  return GiveLogprob(output->output.logprobs, i, logprob, top_tokens, top_logprobs, n_top);
}

keel_status keel_output_prompt_logprob(const keel_output* output, size_t i, float* logprob,
                                       const int32_t** top_tokens, const float** top_logprobs,
                                       size_t* n_top) {
  // Token 0 follows nothing; entry i - 1 is of token i.
  return GiveLogprob(output->output.prompt_logprobs, i - 1, logprob, top_tokens, top_logprobs,
                     n_top);
}

const char* keel_output_finish_reason(const keel_output* output) {
  switch (output->output.finish_reason) {
    case keel::FinishReason::kNone:
      return nullptr;
    case keel::FinishReason::kStop:
      return "stop";
    case keel::FinishReason::kLength:
      return "length";
    case keel::FinishReason::kAbort:
      return "abort";
    case keel::FinishReason::kError:
      return "error";
  }
  return nullptr;
}

const char* keel_output_stop_reason(const keel_output* output) {
  return output->output.stop_reason.c_str();
}

keel_status keel_output_status(const keel_output* output, const char** message) {
  // absl keeps the message NUL-terminated within its own string; copy to be independent of that.
  thread_local std::string text;
  text = std::string(output->output.status.message());
  if (message != nullptr) *message = text.c_str();
  return static_cast<keel_status>(output->output.status.code());
}

double keel_output_cumulative_logprob(const keel_output* output) {
  return output->output.cumulative_logprob;
}

const int32_t* keel_output_prompt_tokens(const keel_output* output, size_t* n) {
  const auto& prompt = output->output.prompt_tokens;
  *n = prompt == nullptr ? 0 : prompt->size();
  return prompt == nullptr ? nullptr : prompt->data();
}

size_t keel_output_cached_tokens(const keel_output* output) {
  return static_cast<size_t>(output->output.cached_tokens);
}
int32_t keel_output_is_last(const keel_output* output) { return output->output.is_last ? 1 : 0; }

}  // extern "C"
