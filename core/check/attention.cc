// The clauses about how tokens see each other: the attention interface and recurrent states.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/exec/rank.h"
#include "core/graph/op_attributes.h"
#include "core/graph/stages.h"
#include "core/ops/graph_attention.h"

namespace keel::clauses {
namespace {

// The named arguments that functions give the attention `object`.
std::set<std::string> ArgumentsOf(const proto::Graph& graph, uint32_t object) {
  std::set<std::string> names;
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) {
      if (node.op() == proto::OP_ATTENTION && node.object() == object)
        names.insert(node.names().begin(), node.names().end());
    }
  }
  return names;
}

absl::StatusOr<std::vector<AttentionChoice>> Choose(Inspection& x) {
  ExecutorOptions exec = x.options.engine.executor;
  KEEL_ASSIGN_OR_RETURN(const auto configured,
                        FindJson<std::string>(x.config, "/_attn_implementation", "config.json"));
  exec.config_attention = configured.value_or("");
  KEEL_RETURN_IF_ERROR(RegisterAttention(exec, x.plugin, x.graph, *x.plugins, *x.trust, x.kept));
  const AttentionWish wish{exec.attention, x.graph.spec().attn_implementation(),
                           exec.config_attention, NumericsOf(exec)};
  return ChooseAttentions(x.graph, wish, x.kept.attention, x.dtype, KvFormatOf(x));
}

// "paged (the host's choice), no arguments" of one attention.
std::string Describe(const AttentionChoice& choice, const std::set<std::string>& arguments) {
  return absl::StrCat(choice.name, " (", choice.reason, "), ",
                      arguments.empty()
                          ? "no arguments"
                          : absl::StrCat("arguments ", absl::StrJoin(arguments, ", ")));
}

// The attentions in forward that keep nothing, each with the layer that is marked around it: such an
// attention need not name a layer. Those of towers are in functions of their own.
std::map<uint32_t, int> EncoderLayers(const proto::Graph& graph) {
  std::map<uint32_t, int> layers;
  int layer = 0;
  for (const proto::Node& node : FindFunction(graph, "forward")->nodes()) {
    if (node.op() == proto::OP_MARK) layer = static_cast<int>(op::Mark(node).index());
    if (node.op() != proto::OP_ATTENTION) continue;
    const proto::Declaration& d = graph.declarations(static_cast<int>(node.object()) - 1);
    if (d.attention().kind() == proto::Attention::ENCODER) layers.emplace(node.object(), layer);
  }
  return layers;
}

}  // namespace

Finding Attention(Inspection& x) {
  auto choices = Choose(x);
  if (!choices.ok()) {
    return Fail(choices.status(),
                "name another by --attention-implementation, or a plugin that has it by "
                "--plugin-path");
  }
  x.attention = *std::move(choices);
  std::map<std::string, std::vector<int>> layers;  // by description
  std::set<std::string> names, warnings;
  for (int i = 0; i < x.graph.declarations_size(); ++i) {
    const AttentionChoice& choice = x.attention[i];
    if (choice.implementation == nullptr) continue;
    const auto arguments = ArgumentsOf(x.graph, static_cast<uint32_t>(i + 1));
    layers[Describe(choice, arguments)].push_back(x.graph.declarations(i).attention().layer());
    names.insert(choice.name);
    if (!choice.warning.empty()) warnings.insert(choice.warning);
  }
  if (names.empty()) return Pass("the model has none");
  std::vector<std::string> details;
  for (const auto& [description, of] : layers)
    details.push_back(absl::StrCat(LayersText(of), ": ", description));
  if (warnings.empty()) return Pass(absl::StrJoin(names, ", "), std::move(details));
  return Warn(absl::StrJoin(warnings, "; "), "give the plugin that has it by --plugin-path",
              std::move(details));
}

Finding Layers(Inspection& x) {
  std::set<int> with;
  int attentions = 0, states = 0;
  for (const proto::Declaration& d : x.graph.declarations()) {
    if (d.has_attention() && d.attention().kind() != proto::Attention::ENCODER) {
      with.insert(d.attention().layer());
      ++attentions;
    } else if (d.has_state()) {
      with.insert(d.state().layer());
      ++states;
    }
  }
  for (const auto& [object, layer] : EncoderLayers(x.graph)) {
    with.insert(layer);
    ++attentions;
  }
  std::vector<int> without;
  for (int layer = 0; layer < x.graph.spec().num_layers(); ++layer) {
    if (with.count(layer) == 0) without.push_back(layer);
  }
  const std::string counts =
      absl::StrCat(Count(attentions, "attention"), ", ", Count(states, "recurrent state"));
  if (without.empty()) return Pass(counts);
  return Warn(absl::StrCat(LayersText(without), " without either; ", counts),
              "right if they look at one token at a time; else declare what they attend with");
}

}  // namespace keel::clauses
