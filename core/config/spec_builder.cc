#include "core/config/spec_builder.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "re2/re2.h"

namespace keel {
namespace {

using proto::ModelSpec;

constexpr int64_t kMaxSize = int64_t{1} << 30;

void Fail(keel_spec* spec, const std::string& message) {
  if (spec->status.ok()) spec->status = absl::InvalidArgumentError(message);
}

void UnknownField(keel_spec* spec, const char* kind, const char* field) {
  Fail(spec, absl::StrCat("model spec: this host knows no ", kind, " field '", field,
                          "'; update keel, or build the plugin for its SDK"));
}

// Whether `value`, an argument that may not be NULL, is given.
bool Given(keel_spec* spec, absl::string_view what, const void* value) {
  if (value != nullptr) return true;
  Fail(spec, absl::StrCat("model spec: ", what, " is NULL, expected a value"));
  return false;
}

// The same of every element of a list.
bool Given(keel_spec* spec, absl::string_view what, const char* const* list, uint32_t n) {
  if (n > 0 && !Given(spec, what, list)) return false;
  for (uint32_t i = 0; i < n; ++i) {
    if (!Given(spec, absl::StrCat(what, "[", i, "]"), list[i])) return false;
  }
  return true;
}

void SetInt(keel_spec* spec, const char* field, int64_t value) {
  if (!Given(spec, "the field of set_int", field)) return;
  const absl::string_view name(field);
  ModelSpec& out = spec->spec;
  if (name == "num_layers") return out.set_num_layers(value);
  if (name == "hidden_size") return out.set_hidden_size(value);
  if (name == "vocab_size") return out.set_vocab_size(value);
  if (name == "max_positions") return out.set_max_positions(value);
  if (name == "tie_word_embeddings") return out.set_tie_word_embeddings(value != 0);
  UnknownField(spec, "integer", field);
}

void SetReal(keel_spec* spec, const char* field, double value) {
  if (!Given(spec, "the field of set_real", field)) return;
  const absl::string_view name(field);
  ModelSpec& out = spec->spec;
  if (name == "embed_scale") return out.set_embed_scale(value);
  if (name == "logit_scale") return out.set_logit_scale(value);
  if (name == "logit_softcap") return out.set_logit_softcap(value);
  UnknownField(spec, "number", field);
}

void SetString(keel_spec* spec, const char* field, const char* value) {
  if (!Given(spec, "the field of set_string", field) || !Given(spec, field, value)) return;
  const absl::string_view name(field);
  ModelSpec& out = spec->spec;
  if (name == "base_model_prefix") return out.set_base_model_prefix(value);
  if (name == "embed_tokens") return out.set_embed_tokens(value);
  if (name == "lm_head") return out.set_lm_head(value);
  if (name == "attn_implementation") return out.set_attn_implementation(value);
  UnknownField(spec, "text", field);
}

void AddTpPlan(keel_spec* spec, const char* pattern, const char* style) {
  if (!Given(spec, "the pattern of tp_plan", pattern) ||
      !Given(spec, absl::StrCat("tp_plan: the style of ", pattern), style))
    return;
  ModelSpec::TpRule* rule = spec->spec.add_tp_plan();
  rule->set_pattern(pattern);
  rule->set_style(style);
}

void AddEpPlan(keel_spec* spec, const char* pattern, const char* style) {
  if (!Given(spec, "the pattern of ep_plan", pattern) ||
      !Given(spec, absl::StrCat("ep_plan: the style of ", pattern), style))
    return;
  ModelSpec::TpRule* rule = spec->spec.add_ep_plan();
  rule->set_pattern(pattern);
  rule->set_style(style);
}

void AddPpPlan(keel_spec* spec, const char* child, const char* const* inputs, uint32_t num_inputs,
               const char* const* outputs, uint32_t num_outputs) {
  if (!Given(spec, "the child of pp_plan", child) ||
      !Given(spec, absl::StrCat("pp_plan: inputs of ", child), inputs, num_inputs) ||
      !Given(spec, absl::StrCat("pp_plan: outputs of ", child), outputs, num_outputs))
    return;
  ModelSpec::PpStage* stage = spec->spec.add_pp_plan();
  stage->set_child(child);
  for (uint32_t i = 0; i < num_inputs; ++i) stage->add_inputs(inputs[i]);
  for (uint32_t i = 0; i < num_outputs; ++i) stage->add_outputs(outputs[i]);
}

void AddRename(keel_spec* spec, const keel_rename* rename) {
  if (!Given(spec, "the rule of rename", rename) ||
      !Given(spec, "rename: from", rename->from, rename->num_from) ||
      !Given(spec, "rename: to", rename->to, rename->num_to))
    return;
  if (!ModelSpec::Rename::Op_IsValid(static_cast<int>(rename->op))) {
    return Fail(spec, absl::StrCat("model spec: rename operation ", rename->op,
                                   " is not known to this host"));
  }
  ModelSpec::Rename* out = spec->spec.add_renames();
  out->set_op(static_cast<ModelSpec::Rename::Op>(rename->op));
  out->set_dim(rename->dim);
  for (uint32_t i = 0; i < rename->num_from; ++i) {
    const RE2 pattern(rename->from[i], RE2::Quiet);
    if (!pattern.ok()) {
      return Fail(spec, absl::StrCat("model spec: rename pattern '", rename->from[i],
                                     "': ", pattern.error()));
    }
    out->add_from(rename->from[i]);
  }
  for (uint32_t i = 0; i < rename->num_to; ++i) out->add_to(rename->to[i]);
  if (rename->sizes != nullptr)
    out->mutable_sizes()->Add(rename->sizes, rename->sizes + rename->num_to);
  if (out->from().empty() || (out->op() != ModelSpec::Rename::IGNORE && out->to().empty())) {
    Fail(spec, "model spec: a rename needs a pattern and, unless it ignores, a target");
  }
}

void AddInput(keel_spec* spec, const char* graph, const keel_input* input) {
  if (!Given(spec, "the graph of input", graph) || !Given(spec, "input", input) ||
      !Given(spec, absl::StrCat("the name of an input of ", graph), input->name))
    return;
  if (input->ndim > KEEL_MAX_DIMS) {
    return Fail(spec, absl::StrCat("model spec: input '", input->name, "' has ", input->ndim,
                                   " dimensions, expected at most ", KEEL_MAX_DIMS));
  }
  ModelSpec::Input* out = spec->spec.add_inputs();
  out->set_graph(graph);
  out->set_name(input->name);
  out->set_dtype(input->dtype);
  bool multiplied = false;
  for (uint32_t i = 0; i < input->ndim; ++i) {
    const int64_t dim = input->dims[i], multiple = std::max<int64_t>(input->multiples[i], 1);
    if (dim == 0 || dim > kMaxSize || multiple > kMaxSize || (dim > 0 && multiple > 1)) {
      return Fail(spec, absl::StrCat("model spec: dimension ", i, " of input '", input->name,
                                     "' is ", dim, " with the multiple ", input->multiples[i],
                                     ", expected a size from 1 to 2^30, or a symbol (-1, -2 ...) "
                                     "with a multiple from 1 to 2^30"));
    }
    multiplied |= multiple > 1;
    out->add_dims(dim);
    out->add_multiples(multiple);
  }
  if (!multiplied) out->clear_multiples();
}

keel_status GetStatus(const keel_spec* spec) {
  return static_cast<keel_status>(spec->status.code());
}

}  // namespace

keel_spec NewSpec() {
  keel_spec spec;
  spec.spec.set_embed_scale(1);
  spec.spec.set_logit_scale(1);
  spec.spec.set_base_model_prefix("model");
  spec.spec.set_embed_tokens("model.embed_tokens");
  spec.spec.set_lm_head("lm_head");
  return spec;
}

absl::Status CheckSpec(const keel_spec& spec) {
  if (!spec.status.ok()) return spec.status;
  const auto require = [](absl::string_view field, int64_t value) -> absl::Status {
    // The limit keeps every product of two sizes within int64.
    if (value >= 1 && value <= kMaxSize) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("model spec: ", field, " is ", value, ", expected 1 to 2^30"));
  };
  if (absl::Status status = require("num_layers", spec.spec.num_layers()); !status.ok())
    return status;
  if (absl::Status status = require("hidden_size", spec.spec.hidden_size()); !status.ok())
    return status;
  return require("vocab_size", spec.spec.vocab_size());
}

const keel_spec_api& SpecApi() {
  static const keel_spec_api api = {sizeof(keel_spec_api),
                                    0,
                                    SetInt,
                                    SetReal,
                                    SetString,
                                    AddTpPlan,
                                    AddPpPlan,
                                    AddRename,
                                    AddInput,
                                    GetStatus,
                                    AddEpPlan};
  return api;
}

}  // namespace keel
