// BERT (arXiv:1810.04805), and RoBERTa (arXiv:1907.11692) and XLM-R (arXiv:1911.02116), which are BERT with other
// training, positions that begin behind the padding's, and another classifier. Encoders: each token sees the whole text.
// They give vectors, by way of pool: the hidden states themselves, or a number for each label.
#include <string>

#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct BertConfig {
  int64_t vocab_size, hidden_size, num_hidden_layers, num_attention_heads, head_dim,
      intermediate_size, max_position_embeddings, type_vocab_size, num_labels, first_position;
  double layer_norm_eps;
  uint32_t hidden_act;
  std::string prefix;
  // `first_position`: the row of the first token in the table of positions.
  BertConfig(const Config& c, std::string prefix, int64_t first_position)
      : vocab_size(c.Int("vocab_size", 30522)),
        hidden_size(c.Int("hidden_size", 768)),
        num_hidden_layers(c.Int("num_hidden_layers", 12)),
        num_attention_heads(c.Int("num_attention_heads", 12)),
        head_dim(num_attention_heads > 0 ? hidden_size / num_attention_heads : 0),
        intermediate_size(c.Int("intermediate_size", 3072)),
        max_position_embeddings(c.Int("max_position_embeddings", 512)),
        type_vocab_size(c.Int("type_vocab_size", 2)),
        num_labels(c.Has("id2label") ? static_cast<int64_t>(c.Size("id2label"))
                                     : c.Int("num_labels", 2)),
        first_position(first_position),
        layer_norm_eps(c.Real("layer_norm_eps", 1e-12)),
        hidden_act(c.Activation("hidden_act", "gelu")),
        prefix(std::move(prefix)) {
    if (head_dim * num_attention_heads != hidden_size) {
      c.Fail("num_attention_heads", "does not divide hidden_size, expected heads of equal size");
    }
    if (c.Bool("is_decoder", false)) c.Fail("is_decoder", "is true, expected false: an encoder");
    if (c.String("position_embedding_type", "absolute") != "absolute")
      c.Fail("position_embedding_type", "is not absolute, the only one that is served");
  }
  explicit BertConfig(const Config& c) : BertConfig(c, "bert", 0) {}

  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings - first_position;
    s.base_model_prefix = prefix;
    s.embed_tokens = prefix + ".embeddings.word_embeddings";
    s.inputs = {{"forward", "token_type_ids", KEEL_I64, {-1}}};
    // Keel's own: transformers states none.
    s.tp_plan = {{"encoder.layer.*.attention.self.query", "colwise"},
                 {"encoder.layer.*.attention.self.key", "colwise"},
                 {"encoder.layer.*.attention.self.value", "colwise"},
                 {"encoder.layer.*.attention.output.dense", "rowwise"},
                 {"encoder.layer.*.intermediate.dense", "colwise"},
                 {"encoder.layer.*.output.dense", "rowwise"}};
    // Names of old files, and the head that BERT was trained with.
    s.renames = {{.from = {R"((.*LayerNorm)\.gamma)"}, .to = {R"(\1.weight)"}},
                 {.from = {R"((.*LayerNorm)\.beta)"}, .to = {R"(\1.bias)"}},
                 {.op = KEEL_RENAME_IGNORE, .from = {R"((cls|lm_head)\..*)"}}};
    return s;
  }
};

struct RobertaConfig : BertConfig {
  explicit RobertaConfig(const Config& c)
      : BertConfig(c, "roberta", c.Int("pad_token_id", 1) + 1) {}
};

// Of a model without a classifier, whose pooler nobody asks.
template <typename C>
struct WithoutPooler : C {
  using C::C;
  Spec spec() const {
    Spec s = C::spec();
    s.renames.push_back({.op = KEEL_RENAME_IGNORE, .from = {R"((.*\.)?pooler\..*)"}});
    return s;
  }
};

// Rounded once, at the end, as torch's layer_norm.
struct BertNorm : Norm {
  BertNorm(const Scope& s, const BertConfig& c)
      : Norm(s, {.kind = KEEL_NORM_LAYER,
                 .size = c.hidden_size,
                 .eps = c.layer_norm_eps,
                 .flags = KEEL_NORM_BIAS | KEEL_NORM_CAST_LAST}) {}
};

struct BertEmbeddings {
  Embedding token_type_embeddings, position_embeddings;
  BertNorm norm;
  int64_t first_position;
  BertEmbeddings(const Scope& s, const BertConfig& c)
      : token_type_embeddings(s / "token_type_embeddings", c.type_vocab_size, c.hidden_size),
        position_embeddings(s / "position_embeddings", c.max_position_embeddings, c.hidden_size),
        norm(s / "LayerNorm", c),
        first_position(c.first_position) {}
  Tensor operator()(const Inputs& in) const {
    const Tensor types = token_type_embeddings(in.extras[0]);
    const Tensor positions =
        first_position == 0 ? in.positions : in.positions + static_cast<double>(first_position);
    return norm(in.embeds + types + position_embeddings(positions));
  }
};

struct BertSelfAttention {
  int64_t head_dim;
  Linear query, key, value;
  Attention attn;
  BertSelfAttention(const Scope& s, const BertConfig& c, int layer)
      : head_dim(c.head_dim),
        query(s / "query", c.hidden_size, c.hidden_size, true),
        key(s / "key", c.hidden_size, c.hidden_size, true),
        value(s / "value", c.hidden_size, c.hidden_size, true),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_attention_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x) const {
    return attn(query(x).Heads(head_dim), key(x).Heads(head_dim), value(x).Heads(head_dim)).Flat();
  }
};

// A linear whose result is added to what the block began with, and normed.
struct BertOutput {
  Linear dense;
  BertNorm norm;
  BertOutput(const Scope& s, const BertConfig& c, int64_t in)
      : dense(s / "dense", in, c.hidden_size, true), norm(s / "LayerNorm", c) {}
  Tensor operator()(Tensor x, Tensor residual) const { return norm(dense(x) + residual); }
};

struct BertLayer {
  BertSelfAttention self;
  BertOutput attention_output;
  Linear intermediate;
  BertOutput output;
  uint32_t act;
  BertLayer(const Scope& s, const BertConfig& c, int layer)
      : self(s / "attention" / "self", c, layer),
        attention_output(s / "attention" / "output", c, c.hidden_size),
        intermediate(s / "intermediate" / "dense", c.hidden_size, c.intermediate_size, true),
        output(s / "output", c, c.intermediate_size),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x) const {
    x = attention_output(self(x), x);
    return output(intermediate(x).Act(act), x);
  }
};

template <typename C>
struct Encoder {
  using ConfigType = C;

  BertEmbeddings embeddings;
  LayerList<BertLayer> layer;
  Encoder(const Scope& root, const C& c)
      : embeddings(root / c.prefix.c_str() / "embeddings", c),
        layer(root / c.prefix.c_str() / "encoder" / "layer", c.num_hidden_layers,
              static_cast<const BertConfig&>(c)) {}
  Tensor Forward(const Inputs& in) const { return layer(embeddings(in)); }
};

// Two linears with a tanh between them, on the hidden states of the first token.
struct Classifier {
  Linear dense, classifier;
  Classifier(const Scope& dense, const Scope& classifier, const BertConfig& c)
      : dense(dense, c.hidden_size, c.hidden_size, true),
        classifier(classifier, c.hidden_size, c.num_labels, true) {}
  Tensor operator()(Tensor hidden) const {
    return classifier(dense(hidden).Unary(KEEL_UNARY_TANH));
  }
};

struct BertModel : Encoder<WithoutPooler<BertConfig>> {
  static constexpr const char* kModelType = "bert";
  static constexpr const char* kArchitectures[] = {"BertModel"};
  using Encoder::Encoder;
  Tensor Pool(Tensor hidden) const { return hidden; }
};

struct BertForSequenceClassification : Encoder<BertConfig> {
  static constexpr const char* kModelType = "bert";
  static constexpr const char* kArchitectures[] = {"BertForSequenceClassification"};
  Classifier classifier;
  BertForSequenceClassification(const Scope& root, const BertConfig& c)
      : Encoder(root, c), classifier(root / "bert" / "pooler" / "dense", root / "classifier", c) {}
  Tensor Pool(Tensor hidden) const { return classifier(hidden); }
};

struct RobertaModel : Encoder<WithoutPooler<RobertaConfig>> {
  static constexpr const char* kModelType = "roberta";
  static constexpr const char* kArchitectures[] = {"RobertaModel", "XLMRobertaModel"};
  using Encoder::Encoder;
  Tensor Pool(Tensor hidden) const { return hidden; }
};

struct RobertaForSequenceClassification : Encoder<RobertaConfig> {
  static constexpr const char* kModelType = "roberta";
  static constexpr const char* kArchitectures[] = {"RobertaForSequenceClassification",
                                                   "XLMRobertaForSequenceClassification"};
  Classifier classifier;
  RobertaForSequenceClassification(const Scope& root, const RobertaConfig& c)
      : Encoder(root, c),
        classifier(root / "classifier" / "dense", root / "classifier" / "out_proj", c) {}
  Tensor Pool(Tensor hidden) const { return classifier(hidden); }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.bert", "0.1.0", keel::BertModel, keel::BertForSequenceClassification,
            keel::RobertaModel, keel::RobertaForSequenceClassification);
