#include "core/check/clauses.h"

#include "absl/strings/str_cat.h"

namespace keel {
namespace {

// A code keeps its meaning for ever; a new clause takes a new one.
constexpr Clause kClauses[] = {
    {101, "the model is found", {}, clauses::Directory},
    {102, "config.json parses and its sizes are sane", {101}, clauses::Config},
    {103, "generation_config.json parses", {102}, clauses::Generation},
    {104, "no quantization that is not served", {102}, clauses::Quantization},
    {105, "weight files are there and their headers parse", {103, 104}, clauses::WeightFiles},

    {201, "config.json names an architecture", {102}, clauses::Architecture},
    {202, "plugins are found", {102}, clauses::Plugins},
    {203, "auto_map leads to what can be served", {201, 202}, clauses::AutoMap},
    {204, "an implementation serves the architecture", {203}, clauses::Implementation},
    {205, "its plugin may run and loads", {204}, clauses::PluginLoads},
    {206, "it records a sound graph", {105, 205}, clauses::Graph},
    {207, "the host runs all of the graph", {206}, clauses::Served},
    {208, "all keys of config.json are known", {206}, clauses::ConfigKeys},
    {209, "the type of weights is served", {105}, clauses::Dtype},
    {210, "a graph file was made for this config.json", {206}, clauses::GraphBinding},

    {301, "each attention has an implementation", {207, 209}, clauses::Attention},
    {302, "each layer attends or has a state", {206}, clauses::Layers},

    {401, "base_model_tp_plan is sound", {206}, clauses::TpPlan},
    {402, "tensor parallel degrees divide the sizes", {401}, clauses::TpDegrees},
    {403, "base_model_pp_plan is sound", {206}, clauses::PpPlan},

    {501, "rename rules apply to the checkpoint", {206, 209}, clauses::Renames},
    {502, "no declared tensor is missing", {501}, clauses::Missing},
    {503, "no tensor is left over", {501}, clauses::Leftover},
    {504, "tensors have the declared shapes and types", {501}, clauses::Shapes},
    {505, "ties", {501}, clauses::Ties},

    {601, "the host keeps what the layers need", {301}, clauses::Cache},
    {602, "memory of the weights", {209}, clauses::WeightMemory},
    {603, "memory of the cache", {601}, clauses::CacheMemory},

    {701, "tokenizer and templates load and work", {101}, clauses::TextFilesWork},
    {702, "token ids are within the vocabulary", {206, 701}, clauses::TokenIds},
    {703, "chat template", {701}, clauses::Template},
    {704, "processor", {105, 202}, clauses::Processor},
};

}  // namespace

const char* VerdictName(Verdict verdict) {
  static constexpr const char* kNames[] = {"pass", "warn", "fail", "skip"};
  return kNames[static_cast<int>(verdict)];
}

absl::Span<const Clause> Clauses() { return kClauses; }

std::string ClauseCode(int code) { return absl::StrCat("KEEL-CHK-", code); }

}  // namespace keel
