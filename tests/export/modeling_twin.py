"""A model that transformers does not have: attention and MLP side by side, a window of its own in
each layer, and a router that no other model has. As a checkpoint would bring it."""

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class TwinConfig(PreTrainedConfig):
    model_type = "twin"

    def __init__(self, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=96,
                 num_experts=3, windows=(0, 5, 9), max_position_embeddings=256,
                 **kwargs):  # fmt: skip
        self.hidden_size, self.num_hidden_layers = hidden_size, num_hidden_layers
        self.num_attention_heads, self.vocab_size = num_attention_heads, vocab_size
        self.num_experts, self.windows = num_experts, list(windows)
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**kwargs)


class TwinNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x):
        wide = x.float()
        return (wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + 1e-5)).to(
            x.dtype
        ) * self.gain


class TwinAttention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.heads, self.size = (
            config.num_attention_heads,
            config.hidden_size // config.num_attention_heads,
        )
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, turn, mask):
        q, k, v = (
            self.qkv(x).view(*x.shape[:-1], 3, self.heads, self.size).transpose(1, 3).unbind(2)
        )
        cos, sin = turn
        q, k = (
            torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
            for a, b in (t.chunk(2, -1) for t in (q, k))
        )
        name = self.config._attn_implementation
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(name, plain_attention)
        y, _ = attend(self, q, k, v, mask, scaling=self.size**-0.5, dropout=0.0)
        return self.out(y.reshape(*x.shape[:-1], -1))


def plain_attention(module, q, k, v, mask, scaling, dropout=0.0, **kwargs):
    scores = q @ k.transpose(2, 3) * scaling
    scores = scores if mask is None else scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2), None


class TwinMlp(nn.Module):
    """Experts that all run, each weighted by a score that is nothing below the mean."""

    def __init__(self, config):
        super().__init__()
        size = config.hidden_size
        self.score = nn.Linear(size, config.num_experts)
        self.up = nn.ModuleList(nn.Linear(size, size) for _ in range(config.num_experts))
        self.down = nn.ModuleList(
            nn.Linear(size, size, bias=False) for _ in range(config.num_experts)
        )

    def forward(self, x):
        scores = torch.tanh(self.score(x).float())
        scores = torch.where(scores >= scores.mean(-1, keepdim=True), scores, 0.0).to(x.dtype)
        parts = [
            down(nn.functional.gelu(up(x))) * scores[..., i : i + 1]
            for i, (up, down) in enumerate(zip(self.up, self.down))
        ]
        return sum(parts)


class TwinBlock(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.norm = TwinNorm(config.hidden_size)
        self.attention = TwinAttention(config, layer_idx)
        self.mlp = TwinMlp(config)

    def forward(self, x, turn, mask):
        y = self.norm(x)
        return x + self.attention(y, turn, mask) + self.mlp(y)


class TwinForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = TwinConfig
    base_model_prefix = "twin"
    _supports_attention_backend = True

    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(TwinBlock(config, i) for i in range(config.num_hidden_layers))
        self.last = TwinNorm(config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.words

    def get_output_embeddings(self):
        return self.head

    def forward(
        self,
        input_ids=None,
        position_ids=None,
        attention_mask=None,
        use_cache=False,
        return_dict=True,
        **kwargs,
    ):
        x = self.words(input_ids) * 3
        size = self.config.hidden_size // self.config.num_attention_heads
        rate = 1 / 500 ** (torch.arange(0, size, 2).float() / size)
        angle = position_ids[:, None, :, None].float() * rate
        turn = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        for block, window in zip(self.blocks, self.config.windows):
            self.config.sliding_window = window or None
            make = create_sliding_window_causal_mask if window else create_causal_mask
            mask = make(
                self.config, inputs_embeds=x, attention_mask=attention_mask, past_key_values=None
            )
            x = block(x, turn, mask)
        return CausalLMOutputWithPast(logits=torch.tanh(self.head(self.last(x)) / 4) * 4)
