#include "apps/bench/roofline.h"

#include "apps/bench/statistics.h"

namespace keel::apps {
namespace {

double Number(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

double Peak(Products products) {
  double peak = 0;
  if (products == Products::kInt8) peak = MachineProbe::Int8Peak();
  if (products == Products::kBF16) peak = MachineProbe::Bf16Peak();
  return peak > 0 ? peak : MachineProbe::FmaPeak();
}

}  // namespace

Products ProductsOf(std::string_view quantization, std::string_view dtype) {
  if (quantization == "w8a8" || quantization.starts_with("int4")) return Products::kInt8;
  return dtype == "bfloat16" ? Products::kBF16 : Products::kF32;
}

void Roofline::Sample() {
  reads_.push_back(probe_.ReadBandwidth());
  peaks_.push_back(Peak(products_));
}

double Roofline::read_gb_per_second() const { return Median(reads_); }
double Roofline::peak_gflop_per_second() const { return Median(peaks_); }

StepCost StepCostOf(const boost::json::object& info) {
  const boost::json::value* weights = info.if_contains("weights");
  if (weights == nullptr || !weights->is_object()) return {};
  const boost::json::object& counts = weights->get_object();
  StepCost cost{.token_gflop = 2e-9 * Number(counts, "token"),
                .logits_gflop = 2e-9 * Number(counts, "logits")};
  const boost::json::value* has_experts = counts.if_contains("has_experts");
  if (has_experts != nullptr && has_experts->is_bool() && !has_experts->get_bool())
    cost.weight_bytes = Number(info, "packed_weight_bytes");
  return cost;
}

}  // namespace keel::apps
