// A decoder whose plan leaves the MLP's output split where the residual is whole.
#include <string_view>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct WrongTpPlanConfig : DenseConfig {
  explicit WrongTpPlanConfig(const Config& c) : DenseConfig(c) {}
  RopeAttention::Options attention(int) const { return {}; }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    for (TpRule& rule : s.tp_plan) {
      if (std::string_view(rule.pattern) == "layers.*.mlp.down_proj") rule.style = "colwise";
    }
    return s;
  }
};

struct WrongTpPlanForCausalLM : DenseDecoder<WrongTpPlanConfig> {
  static constexpr const char* kModelType = "llama";
  static constexpr const char* kArchitectures[] = {"WrongTpPlanForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.tests.wrong_tp_plan", "0.1.0", keel::WrongTpPlanForCausalLM);
