#include "core/sampling/sampling_params.h"

#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"

namespace keel {
namespace {

absl::Status Expect(bool ok, absl::string_view name, double found, absl::string_view expected) {
  if (ok) return absl::OkStatus();
  return WithField(
      absl::InvalidArgumentError(absl::StrCat(name, " is ", found, ", expected ", expected)), name);
}

absl::Status CheckToken(absl::string_view name, int64_t token, int64_t vocab_size) {
  if (token >= 0 && token < vocab_size) return absl::OkStatus();
  return WithField(absl::InvalidArgumentError(absl::StrCat(name, " holds token id ", token,
                                                           ", expected 0 to ", vocab_size - 1)),
                   name);
}

}  // namespace

uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// NaN fails every comparison below, so it is refused too.
absl::Status CheckSamplingParams(const SamplingParams& params, int64_t vocab_size) {
  const SamplingParams& p = params;
  KEEL_RETURN_IF_ERROR(Expect(p.temperature >= 0 && p.temperature <= 1e6, "temperature",
                              p.temperature, "0 or more"));
  KEEL_RETURN_IF_ERROR(
      Expect(p.top_k >= -1, "top_k", static_cast<double>(p.top_k), "-1 or 0 (off), or more"));
  KEEL_RETURN_IF_ERROR(
      Expect(p.top_p > 0 && p.top_p <= 1, "top_p", p.top_p, "more than 0, at most 1"));
  KEEL_RETURN_IF_ERROR(Expect(p.min_p >= 0 && p.min_p <= 1, "min_p", p.min_p, "0 to 1"));
  KEEL_RETURN_IF_ERROR(Expect(p.typical_p > 0 && p.typical_p <= 1, "typical_p", p.typical_p,
                              "more than 0, at most 1"));
  KEEL_RETURN_IF_ERROR(Expect(p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty),
                              "repetition_penalty", p.repetition_penalty, "more than 0"));
  KEEL_RETURN_IF_ERROR(
      Expect(std::abs(p.presence_penalty) <= 2, "presence_penalty", p.presence_penalty, "-2 to 2"));
  KEEL_RETURN_IF_ERROR(Expect(std::abs(p.frequency_penalty) <= 2, "frequency_penalty",
                              p.frequency_penalty, "-2 to 2"));
  KEEL_RETURN_IF_ERROR(
      Expect(p.min_tokens >= 0, "min_tokens", static_cast<double>(p.min_tokens), "0 or more"));
  for (const auto& [token, bias] : p.logit_bias) {
    KEEL_RETURN_IF_ERROR(CheckToken("logit_bias", token, vocab_size));
    KEEL_RETURN_IF_ERROR(Expect(std::abs(bias) <= 100, "logit_bias", bias, "-100 to 100"));
  }
  for (const int32_t token : p.allowed_token_ids)
    KEEL_RETURN_IF_ERROR(CheckToken("allowed_token_ids", token, vocab_size));
  for (const std::vector<int32_t>& word : p.bad_words) {
    if (word.empty()) {
      return WithField(absl::InvalidArgumentError("bad_words holds an empty word"), "bad_words");
    }
    for (const int32_t token : word)
      KEEL_RETURN_IF_ERROR(CheckToken("bad_words", token, vocab_size));
  }
  const int64_t logprobs = p.logprobs.value_or(0);
  return Expect(logprobs >= -1 && logprobs <= vocab_size, "logprobs", static_cast<double>(logprobs),
                absl::StrCat("-1 (all) to ", vocab_size));
}

}  // namespace keel
