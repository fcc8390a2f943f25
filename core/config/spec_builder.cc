#include "core/config/spec_builder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/abi_input.h"
#include "core/base/status.h"
#include "core/config/merge_rule.h"
#include "re2/re2.h"

namespace keel {
namespace {

using proto::ModelSpec;

constexpr int64_t kMaxSize = int64_t{1} << 30;
constexpr int64_t kMaxLayers = 1 << 16;

void Fail(keel_spec* spec, const std::string& message) {
  if (spec->status.ok()) spec->status = absl::InvalidArgumentError(message);
}

void UnknownField(keel_spec* spec, const char* kind, const char* field) {
  Fail(spec, absl::StrCat("model spec: this host knows no ", kind, " field '", field,
                          "'; update keel, or build the plugin for its SDK"));
}

// Whether what was handed over is as it may be; if not, the reason is kept.
bool Taken(keel_spec* spec, const absl::Status& status) {
  if (!status.ok() && spec->status.ok()) spec->status = Annotate(status, "model spec");
  return status.ok();
}
bool Given(keel_spec* spec, absl::string_view what, const void* value) {
  return Taken(spec, CheckGiven(what, value));
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
      !Taken(spec,
             CheckTextsGiven(absl::StrCat("pp_plan: inputs of ", child), inputs, num_inputs)) ||
      !Taken(spec,
             CheckTextsGiven(absl::StrCat("pp_plan: outputs of ", child), outputs, num_outputs)))
    return;
  ModelSpec::PpStage* stage = spec->spec.add_pp_plan();
  stage->set_child(child);
  for (uint32_t i = 0; i < num_inputs; ++i) stage->add_inputs(inputs[i]);
  for (uint32_t i = 0; i < num_outputs; ++i) stage->add_outputs(outputs[i]);
}

absl::StatusOr<ModelSpec::Rename> ReadRename(const keel_rename* given) {
  KEEL_ASSIGN_OR_RETURN(const keel_rename rename, CopyIn("the rule of rename", given));
  KEEL_RETURN_IF_ERROR(CheckTextsGiven("rename: from", rename.from, rename.num_from));
  KEEL_RETURN_IF_ERROR(CheckTextsGiven("rename: to", rename.to, rename.num_to));
  if (!ModelSpec::Rename::Op_IsValid(static_cast<int>(rename.op))) {
    return absl::InvalidArgumentError(
        absl::StrCat("rename operation ", rename.op, " is not known to this host"));
  }
  ModelSpec::Rename out;
  out.set_op(static_cast<ModelSpec::Rename::Op>(rename.op));
  out.set_dim(rename.dim);
  for (uint32_t i = 0; i < rename.num_from; ++i) {
    const RE2 pattern(rename.from[i], RE2::Quiet);
    if (!pattern.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("rename pattern '", rename.from[i], "': ", pattern.error()));
    }
    out.add_from(rename.from[i]);
  }
  for (uint32_t i = 0; i < rename.num_to; ++i) out.add_to(rename.to[i]);
  if (rename.sizes != nullptr) out.mutable_sizes()->Add(rename.sizes, rename.sizes + rename.num_to);
  if (out.from().empty() || (out.op() != ModelSpec::Rename::IGNORE && out.to().empty())) {
    return absl::InvalidArgumentError("a rename needs a pattern and, unless it ignores, a target");
  }
  return out;
}

void AddRename(keel_spec* spec, const keel_rename* rename) {
  absl::StatusOr<ModelSpec::Rename> read = ReadRename(rename);
  if (Taken(spec, read.status())) *spec->spec.add_renames() = *std::move(read);
}

// dims and multiples of `out`.
absl::Status ReadDims(const keel_input& input, ModelSpec::Input& out) {
  if (input.ndim > KEEL_MAX_DIMS) {
    return absl::InvalidArgumentError(absl::StrCat("input '", input.name, "' has ", input.ndim,
                                                   " dimensions, expected at most ",
                                                   KEEL_MAX_DIMS));
  }
  bool multiplied = false;
  for (uint32_t i = 0; i < input.ndim; ++i) {
    const int64_t dim = input.dims[i], multiple = std::max<int64_t>(input.multiples[i], 1);
    if (dim == 0 || dim > kMaxSize || multiple > kMaxSize || (dim > 0 && multiple > 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("dimension ", i, " of input '", input.name, "' is ", dim,
                       " with the multiple ", input.multiples[i],
                       ", expected a size from 1 to 2^30, or a symbol (-1, -2 ...) with a "
                       "multiple from 1 to 2^30"));
    }
    multiplied |= multiple > 1;
    out.add_dims(dim);
    out.add_multiples(multiple);
  }
  if (!multiplied) out.clear_multiples();
  return absl::OkStatus();
}

absl::StatusOr<ModelSpec::Input> ReadInput(const char* graph, const keel_input* given) {
  KEEL_RETURN_IF_ERROR(CheckGiven("the graph of input", graph));
  KEEL_ASSIGN_OR_RETURN(const keel_input input, CopyIn(absl::StrCat("an input of ", graph), given));
  KEEL_RETURN_IF_ERROR(CheckGiven(absl::StrCat("the name of an input of ", graph), input.name));
  ModelSpec::Input out;
  out.set_graph(graph);
  out.set_name(input.name);
  out.set_dtype(input.dtype);
  KEEL_RETURN_IF_ERROR(ReadDims(input, out));
  out.set_merge(input.merge);
  out.set_index_symbol(input.index_symbol);
  const bool is_one = input.merge == KEEL_MERGE_INDICES && input.index_multiple == 0;
  out.set_index_multiple(is_one ? 1 : input.index_multiple);
  KEEL_RETURN_IF_ERROR(CheckMergeRule(out));
  return out;
}

void AddInput(keel_spec* spec, const char* graph, const keel_input* input) {
  absl::StatusOr<ModelSpec::Input> read = ReadInput(graph, input);
  if (Taken(spec, read.status())) *spec->spec.add_inputs() = *std::move(read);
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
  // create declares each layer: a wrong number must not take the time and memory of 2^30 of them.
  if (spec.spec.num_layers() < 1 || spec.spec.num_layers() > kMaxLayers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model spec: num_layers is ", spec.spec.num_layers(), ", expected 1 to ", kMaxLayers));
  }
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
