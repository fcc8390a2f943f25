//! Phi (arXiv:2306.11644), as in transformers' models/phi, in Rust: attention and MLP side by side on one norm, rotary
//! positions on a part of each head, biases everywhere, the head's included.

use keel::{
    keel_plugin, Attention, Config, Inputs, LayerMark, LayerNorm, Linear, Model, Rope, Scope, Spec,
    Tensor,
};

struct PhiConfig {
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: i64,
    head_dim: i64,
    vocab_size: i64,
    layer_norm_eps: f64,
    hidden_act: u32,
}

impl PhiConfig {
    fn new(c: &Config) -> Self {
        let hidden_size = c.int_or("hidden_size", 2048);
        let heads = c.int_or("num_attention_heads", 32).max(1);
        if hidden_size % heads != 0 {
            c.fail("num_attention_heads", "does not divide hidden_size, expected heads of equal size");
        }
        for key in ["qk_layernorm", "tie_word_embeddings"] {
            if c.bool_or(key, false) {
                c.fail(key, "is true, expected false");
            }
        }
        PhiConfig {
            hidden_size,
            intermediate_size: c.int_or("intermediate_size", 8192),
            num_hidden_layers: c.int_or("num_hidden_layers", 24),
            num_attention_heads: heads,
            num_key_value_heads: c.int_or("num_key_value_heads", heads),
            head_dim: hidden_size / heads,
            vocab_size: c.int_or("vocab_size", 51200),
            layer_norm_eps: c.real_or("layer_norm_eps", 1e-5),
            hidden_act: c.activation("hidden_act", "gelu_new"),
        }
    }
}

struct PhiAttention {
    head_dim: i64,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    dense: Linear,
    attn: Attention,
}

impl PhiAttention {
    fn new(s: &Scope, c: &PhiConfig, layer: i64) -> Self {
        let (heads, kv_heads, head_dim) = (c.num_attention_heads, c.num_key_value_heads, c.head_dim);
        PhiAttention {
            head_dim,
            q_proj: Linear::new(&(s / "q_proj"), c.hidden_size, heads * head_dim, true),
            k_proj: Linear::new(&(s / "k_proj"), c.hidden_size, kv_heads * head_dim, true),
            v_proj: Linear::new(&(s / "v_proj"), c.hidden_size, kv_heads * head_dim, true),
            dense: Linear::new(&(s / "dense"), heads * head_dim, c.hidden_size, true),
            attn: Attention::new(s, layer, heads, kv_heads, head_dim),
        }
    }

    fn run<'r>(&self, x: Tensor<'r>, rope: &Rope, positions: Tensor<'r>) -> Tensor<'r> {
        let q = rope.run(self.q_proj.run(x).heads(self.head_dim), positions);
        let k = rope.run(self.k_proj.run(x).heads(self.head_dim), positions);
        let v = self.v_proj.run(x).heads(self.head_dim);
        self.dense.run(self.attn.run(q, k, v).flat())
    }
}

struct PhiDecoderLayer {
    input_layernorm: LayerNorm,
    self_attn: PhiAttention,
    fc1: Linear,
    fc2: Linear,
    act: u32,
}

impl PhiDecoderLayer {
    fn new(s: &Scope, c: &PhiConfig, layer: i64) -> Self {
        let mlp = s / "mlp";
        PhiDecoderLayer {
            input_layernorm: LayerNorm::new(&(s / "input_layernorm"), c.hidden_size, c.layer_norm_eps),
            self_attn: PhiAttention::new(&(s / "self_attn"), c, layer),
            fc1: Linear::new(&(&mlp / "fc1"), c.hidden_size, c.intermediate_size, true),
            fc2: Linear::new(&(&mlp / "fc2"), c.intermediate_size, c.hidden_size, true),
            act: c.hidden_act,
        }
    }

    fn run<'r>(&self, x: Tensor<'r>, rope: &Rope, positions: Tensor<'r>) -> Tensor<'r> {
        let normed = self.input_layernorm.run(x);
        let mlp = self.fc2.run(self.fc1.run(normed).act(self.act));
        self.self_attn.run(normed, rope, positions) + mlp + x
    }
}

struct PhiForCausalLM {
    rotary_emb: Rope,
    layers: Vec<PhiDecoderLayer>,
    final_layernorm: LayerNorm,
    lm_head: Linear,
}

impl Model for PhiForCausalLM {
    const HAS_LOGITS: bool = true;

    fn spec(config: &Config) -> Spec {
        let c = PhiConfig::new(config);
        Spec {
            num_layers: c.num_hidden_layers,
            hidden_size: c.hidden_size,
            vocab_size: c.vocab_size,
            max_positions: config.int_or("max_position_embeddings", 2048),
            tp_plan: vec![
                ("layers.*.self_attn.q_proj", "colwise"),
                ("layers.*.self_attn.k_proj", "colwise"),
                ("layers.*.self_attn.v_proj", "colwise"),
                ("layers.*.self_attn.dense", "rowwise"),
                ("layers.*.mlp.fc1", "colwise"),
                ("layers.*.mlp.fc2", "rowwise"),
            ],
            pp_plan: vec![
                ("embed_tokens", vec!["input_ids"], vec!["inputs_embeds"]),
                ("layers", vec!["hidden_states", "attention_mask"], vec!["hidden_states"]),
                ("final_layernorm", vec!["hidden_states"], vec!["hidden_states"]),
            ],
            ..Spec::default()
        }
    }

    fn new(root: &Scope, config: &Config) -> Self {
        let c = PhiConfig::new(config);
        let model = root / "model";
        let layers = &model / "layers";
        PhiForCausalLM {
            rotary_emb: Rope::new(root, c.head_dim, 10000.0, 0.5),
            layers: (0..c.num_hidden_layers)
                .map(|i| PhiDecoderLayer::new(&(&layers / i), &c, i))
                .collect(),
            final_layernorm: LayerNorm::new(
                &(&model / "final_layernorm"),
                c.hidden_size,
                c.layer_norm_eps,
            ),
            lm_head: Linear::new(&(root / "lm_head"), c.hidden_size, c.vocab_size, true),
        }
    }

    fn forward<'r>(&self, inputs: &Inputs<'r>) -> Tensor<'r> {
        let mut x = inputs.embeds;
        for (i, layer) in self.layers.iter().enumerate() {
            let _mark = LayerMark::new(x, i);
            x = layer.run(x, &self.rotary_emb, inputs.positions);
        }
        self.final_layernorm.run(x)
    }

    fn logits<'r>(&self, hidden: Tensor<'r>) -> Tensor<'r> {
        self.lm_head.run(hidden)
    }
}

keel_plugin! {
    id: "org.example.phi",
    version: "1.0.0",
    model: PhiForCausalLM,
    model_type: "phi",
    architectures: ["PhiForCausalLM"],
}
