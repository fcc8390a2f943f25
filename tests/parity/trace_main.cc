// Arguments: a plugin's library, a checkpoint's directory, prompt ids "1,2,3", and what is asked:
//   greedy N   prints N token ids
//   logits     writes [prompt, vocab] f32 to stdout
//   layer I    the same of what layer I leaves, through lm_head
//   layers     prints how many layers there are
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/parity/trace.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "trace: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 4 ? argv[4] : "";
  int number = 0;
  const bool has_number = argc > 5 && absl::SimpleAtoi(argv[5], &number);
  if (what.empty() || ((what == "greedy" || what == "layer") && !has_number)) {
    std::fprintf(stderr, "usage: %s plugin.so model-dir ids greedy N|logits|layer I|layers\n",
                 argv[0]);
    return 2;
  }
  const auto tracer = keel::Tracer::Open(argv[1], argv[2]);
  if (!tracer.ok()) return Fail(tracer.status());
  std::vector<int32_t> prompt;
  for (const absl::string_view id : absl::StrSplit(argv[3], ',', absl::SkipEmpty())) {
    prompt.emplace_back();
    if (!absl::SimpleAtoi(id, &prompt.back())) {
      std::fprintf(stderr, "trace: '%s' is no token id\n", std::string(id).c_str());
      return 2;
    }
  }
  if (what == "layers") {
    std::printf("%lld\n", static_cast<long long>((*tracer)->num_layers()));
    return 0;
  }
  if (what == "greedy") {
    const auto tokens = (*tracer)->Greedy(prompt, number);
    if (!tokens.ok()) return Fail(tokens.status());
    std::printf("%s\n", absl::StrJoin(*tokens, ",").c_str());
    return 0;
  }
  const auto logits =
      what == "layer" ? (*tracer)->LayerLogits(prompt, number) : (*tracer)->Logits(prompt);
  if (!logits.ok()) return Fail(logits.status());
  std::fwrite(logits->const_data_ptr(), 1, logits->nbytes(), stdout);
  return 0;
}
