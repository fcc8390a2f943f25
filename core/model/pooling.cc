#include "core/model/pooling.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/graph/stages.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr char kModules[] = "modules.json";
constexpr char kClassifier[] = "ForSequenceClassification";

// What the files of sentence-transformers say.
struct SentenceModules {
  bool has_pooling = false;
  PoolingType type = PoolingType::kLast;
  bool normalizes = false;
  int64_t max_tokens = 0;
};

absl::Status Unserved(absl::string_view where, absl::string_view what, absl::string_view expected) {
  return WithFile(absl::UnimplementedError(
                      absl::StrCat(where, ": ", what, " is not served, expected ", expected)),
                  where);
}

absl::StatusOr<std::optional<json::value>> ReadJsonFile(const Checkpoint& checkpoint,
                                                        const std::string& name) {
  KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text, checkpoint.ReadText(name));
  if (!text.has_value()) return std::nullopt;
  KEEL_ASSIGN_OR_RETURN(json::value value, ParseJson(*text, name));
  return value;
}

// 1_Pooling/config.json: one mode of several switches, or in newer files its name.
absl::StatusOr<PoolingType> ReadPoolingModule(const Checkpoint& checkpoint,
                                              const std::string& folder) {
  constexpr std::pair<absl::string_view, PoolingType> kModes[] = {
      {"cls", PoolingType::kCls}, {"mean", PoolingType::kMean}, {"lasttoken", PoolingType::kLast}};
  constexpr char kExpected[] = "one of cls, mean and lasttoken";
  // A checkpoint's word, so not a way out of its directory.
  if (folder.empty() || folder[0] == '.' || absl::StrContains(folder, '/'))
    return Unserved(kModules, absl::StrCat("the path '", folder, "'"),
                    "a folder of the checkpoint");
  const std::string where = absl::StrCat(folder, "/config.json");
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(checkpoint.dir(), where), 1 << 20);
  if (!text.ok()) return WithFile(Annotate(text.status(), kModules), where);
  KEEL_ASSIGN_OR_RETURN(const json::value config, ParseJson(*text, where));
  std::vector<std::string> modes;
  KEEL_ASSIGN_OR_RETURN(const auto named, FindJson<std::string>(config, "/pooling_mode", where));
  if (named.has_value()) modes.push_back(*named);
  const json::object* object = config.if_object();
  for (const auto& [key, value] : object == nullptr ? json::object() : *object) {
    absl::string_view mode(key.data(), key.size());
    if (!absl::ConsumePrefix(&mode, "pooling_mode_") || value != json::value(true)) continue;
    modes.emplace_back(absl::StripSuffix(absl::StripSuffix(mode, "s"), "_token"));
  }
  for (const auto& [name, type] : kModes)
    if (modes.size() == 1 && modes[0] == name) return type;
  return Unserved(
      where, absl::StrCat("pooling by ", modes.empty() ? "no mode" : absl::StrJoin(modes, " and ")),
      kExpected);
}

absl::StatusOr<SentenceModules> ReadSentenceModules(const Checkpoint& checkpoint) {
  SentenceModules out;
  KEEL_ASSIGN_OR_RETURN(const std::optional<json::value> modules,
                        ReadJsonFile(checkpoint, kModules));
  if (!modules.has_value()) return out;
  KEEL_ASSIGN_OR_RETURN(const json::array* list,
                        GetJson<const json::array*>(*modules, "", kModules));
  for (const json::value& module : *list) {
    KEEL_ASSIGN_OR_RETURN(const std::string type, GetJson<std::string>(module, "/type", kModules));
    KEEL_ASSIGN_OR_RETURN(const std::string path, GetJson<std::string>(module, "/path", kModules));
    const absl::string_view name =
        absl::string_view(type).substr(std::min(type.rfind('.') + 1, type.size()));
    if (name == "Transformer" && !out.has_pooling) continue;
    if (name == "Pooling" && !out.has_pooling) {
      out.has_pooling = true;
      KEEL_ASSIGN_OR_RETURN(out.type, ReadPoolingModule(checkpoint, path));
    } else if (name == "Normalize" && out.has_pooling) {
      out.normalizes = true;
    } else {
      return Unserved(kModules, absl::StrCat("the module ", type, " at this place"),
                      "Transformer, Pooling and perhaps Normalize, in this order");
    }
  }
  constexpr char kTransformer[] = "sentence_bert_config.json";
  KEEL_ASSIGN_OR_RETURN(const auto transformer, ReadJsonFile(checkpoint, kTransformer));
  if (!transformer.has_value()) return out;
  KEEL_ASSIGN_OR_RETURN(const auto longest,
                        FindJson<int64_t>(*transformer, "/max_seq_length", kTransformer));
  KEEL_ASSIGN_OR_RETURN(const auto lower,
                        FindJson<bool>(*transformer, "/do_lower_case", kTransformer));
  if (lower.value_or(false))
    return Unserved(kTransformer, "do_lower_case true",
                    "false: the tokenizer makes text lower case");
  out.max_tokens = std::max<int64_t>(longest.value_or(0), 0);
  return out;
}

bool ReadsTokenTypes(const proto::Graph& graph) {
  const auto& inputs = FindFunction(graph, "forward")->inputs();
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const auto& input) { return input.name() == "token_type_ids"; });
}

// Of the verified function "pool".
int64_t HeadSize(const proto::Function& pool) {
  uint32_t id = pool.outputs(0);
  if (id <= static_cast<uint32_t>(pool.inputs_size()))
    return pool.inputs(static_cast<int>(id) - 1).type().dims(1).size();
  for (const proto::Node& node : pool.nodes()) {
    for (int i = 0; i < node.outputs_size(); ++i)
      if (node.outputs(i) == id) return node.types(i).dims(1).size();
  }
  return 0;
}

absl::StatusOr<std::vector<std::string>> Labels(const json::value& config, int64_t size) {
  std::vector<std::string> labels;
  for (int64_t i = 0; i < size; ++i) {
    KEEL_ASSIGN_OR_RETURN(
        const auto label,
        FindJson<std::string>(config, absl::StrCat("/id2label/", i), "config.json"));
    labels.push_back(label.value_or(absl::StrCat("LABEL_", i)));
  }
  return labels;
}

// ModernBERT's and EuroBERT's word for whose hidden states their classifiers take.
absl::StatusOr<std::optional<PoolingType>> ClassifierPooling(const json::value& config) {
  KEEL_ASSIGN_OR_RETURN(const auto said,
                        FindJson<std::string>(config, "/classifier_pooling", "config.json"));
  if (!said.has_value()) return std::nullopt;
  if (*said == "cls" || *said == "bos") return PoolingType::kCls;
  if (*said == "mean") return PoolingType::kMean;
  return Unserved("config.json", absl::StrCat("classifier_pooling ", *said), "cls, bos or mean");
}

// What sentence-transformers wrote for a cross-encoder, else by the kind of problem.
absl::StatusOr<VectorActivation> ClassifierActivation(const json::value& config, int64_t labels) {
  for (const char* key :
       {"/sentence_transformers/activation_fn", "/sbert_ce_default_activation_function"}) {
    KEEL_ASSIGN_OR_RETURN(const auto said, FindJson<std::string>(config, key, "config.json"));
    if (!said.has_value()) continue;
    if (absl::EndsWith(*said, ".Identity")) return VectorActivation::kNone;
    if (absl::EndsWith(*said, ".Sigmoid")) return VectorActivation::kSigmoid;
    return Unserved("config.json", absl::StrCat("the activation ", *said), "Identity or Sigmoid");
  }
  KEEL_ASSIGN_OR_RETURN(const auto problem,
                        FindJson<std::string>(config, "/problem_type", "config.json"));
  if (problem == "regression") return VectorActivation::kNone;
  if (problem == "multi_label_classification" || labels == 1) return VectorActivation::kSigmoid;
  return VectorActivation::kSoftmax;
}

// As transformers' get_text_config() has it. The exporter refuses a checkpoint whose class has another.
absl::StatusOr<std::optional<int32_t>> PaddingToken(const json::value& config) {
  KEEL_ASSIGN_OR_RETURN(const auto text,
                        FindJson<const json::object*>(config, "/text_config", "config.json"));
  const char* key = text.has_value() ? "/text_config/pad_token_id" : "/pad_token_id";
  KEEL_ASSIGN_OR_RETURN(const auto said, FindJson<int64_t>(config, key, "config.json"));
  if (!said.has_value()) return std::nullopt;
  return static_cast<int32_t>(*said);
}

absl::Status SetMatryoshka(const json::value& config, Pooling& pooling) {
  KEEL_ASSIGN_OR_RETURN(const auto is, FindJson<bool>(config, "/is_matryoshka", "config.json"));
  KEEL_ASSIGN_OR_RETURN(const auto sizes, FindJson<std::vector<int64_t>>(
                                              config, "/matryoshka_dimensions", "config.json"));
  pooling.matryoshka_sizes = sizes.value_or(std::vector<int64_t>());
  pooling.is_matryoshka = is.value_or(!pooling.matryoshka_sizes.empty());
  return absl::OkStatus();
}

absl::Status Contradicts(const char* flag, absl::string_view value, const proto::Graph& graph,
                         absl::string_view but) {
  return WithFlag(absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", value, ", but ",
                                                          graph.spec().architecture(), " ", but)),
                  flag);
}

}  // namespace

const char* PoolingTaskName(PoolingTask task) {
  return task == PoolingTask::kEmbed ? "embed" : "classify";
}

const char* VectorActivationName(VectorActivation activation) {
  switch (activation) {
    case VectorActivation::kNone:
      return "none";
    case VectorActivation::kNormalize:
      return "normalize";
    case VectorActivation::kSoftmax:
      return "softmax";
    case VectorActivation::kSigmoid:
      return "sigmoid";
  }
  return "";
}

absl::StatusOr<std::optional<Pooling>> PoolingOf(const PoolingOptions& options,
                                                 const Checkpoint& checkpoint,
                                                 const proto::Graph& graph) {
  const proto::Function* head = FindFunction(graph, "pool");
  const bool is_encoder = SeesAhead(graph);
  const bool generates =
      !is_encoder && (head == nullptr || FindFunction(graph, "logits") != nullptr);
  const bool to_embed = options.convert == Convert::kEmbed;
  const bool to_classify = options.convert == Convert::kClassify;
  const bool classifies =
      head != nullptr && absl::EndsWith(graph.spec().architecture(), kClassifier);
  if (options.runner == Runner::kGenerate) {
    if (to_embed || to_classify)
      return Contradicts("convert", to_embed ? "embed" : "classify", graph,
                         "is to generate text by --runner generate");
    if (!generates)
      return Contradicts("runner", "generate", graph, "answers with vectors alone; leave it out");
    return std::nullopt;
  }
  if (to_classify && !classifies) {
    return Contradicts("convert", "classify", graph,
                       absl::StrCat("has no head for labels, which only training makes; serve a "
                                    "checkpoint whose architecture ends in ",
                                    kClassifier, ", or make embeddings of this one by embed"));
  }
  KEEL_ASSIGN_OR_RETURN(const SentenceModules modules, ReadSentenceModules(checkpoint));
  const bool wanted = options.runner == Runner::kPooling || to_embed || modules.has_pooling;
  if (!wanted && generates) return std::nullopt;
  if (options.convert == Convert::kNone && head == nullptr) {
    return Contradicts("convert", "none", graph,
                       "has no head that answers with vectors; leave it out, or use embed");
  }

  Pooling out;
  out.uses_head = head != nullptr && !to_embed;
  out.task = out.uses_head && classifies ? PoolingTask::kClassify : PoolingTask::kEmbed;
  out.type = modules.has_pooling ? modules.type
             : is_encoder        ? PoolingType::kCls
                                 : PoolingType::kLast;
  if (out.task == PoolingTask::kClassify) {
    KEEL_ASSIGN_OR_RETURN(const auto said, ClassifierPooling(checkpoint.config()));
    out.type = said.value_or(out.type);
  }
  if (options.type.has_value()) out.type = *options.type;
  out.is_whole = is_encoder || out.type != PoolingType::kLast;
  out.reads_token_types = ReadsTokenTypes(graph);
  out.size = out.uses_head ? HeadSize(*head) : graph.spec().hidden_size();
  out.max_tokens = modules.max_tokens;
  if (out.task == PoolingTask::kClassify) {
    KEEL_ASSIGN_OR_RETURN(out.activation, ClassifierActivation(checkpoint.config(), out.size));
    KEEL_ASSIGN_OR_RETURN(out.labels, Labels(checkpoint.config(), out.size));
    if (!is_encoder && out.type == PoolingType::kLast) {
      KEEL_ASSIGN_OR_RETURN(out.padding_token, PaddingToken(checkpoint.config()));
    }
  } else if (!modules.has_pooling || modules.normalizes) {
    out.activation = VectorActivation::kNormalize;
  }
  if (!options.use_activation) out.activation = VectorActivation::kNone;
  KEEL_RETURN_IF_ERROR(SetMatryoshka(checkpoint.config(), out));
  return out;
}

}  // namespace keel
