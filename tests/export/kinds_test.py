"""Kinds of models that are exported as a whole, each a tiny class of its own.

`export` compares the graph's numbers with those of the class at lengths that were not traced, and
refuses it otherwise; what is said here besides is what the graph is made of.
"""

import unittest

import transformers_env  # noqa: F401, isort: skip
import torch
from keel.export.build import build_model
from keel.export.emit import emit
from keel.export.export import export
from keel.export.graph import Refused
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

HEADS, SIZE = 2, 8
WIDTH = HEADS * SIZE


class Config(PreTrainedConfig):
    model_type = "kind"

    def __init__(self, **kwargs):
        self.hidden_size, self.vocab_size, self.num_hidden_layers, self.max_position_embeddings = (
            WIDTH,
            40,
            1,
            128,
        )
        super().__init__(tie_word_embeddings=False, **kwargs)


class Attention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))

    def mask(self, mask, v):
        return mask

    def forward(self, x, mask):
        q, k, v = (
            p(x).view(*x.shape[:2], HEADS, SIZE).transpose(1, 2) for p in (self.q, self.k, self.v)
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager)
        return attend(self, q, k, v, self.mask(mask, v), scaling=SIZE**-0.5)[0].reshape(x.shape)


def eager(module, q, k, v, mask, scaling, **kwargs):
    return ((q @ k.transpose(2, 3) * scaling + mask).softmax(-1) @ v).transpose(1, 2), None


class Block(nn.Module):
    """x + part(x)."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x, mask):
        return x + self.part(x, mask)


class Kind(PreTrainedModel):
    """Blocks of one kind between an embedding and a head."""

    config_class = Config
    part = Attention
    embedding_size = WIDTH
    times = 1

    def __init__(self, config):
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, self.embedding_size)
        self.blocks = nn.ModuleList(
            Block(self.part(config, i)) for i in range(config.num_hidden_layers)
        )
        self.head = nn.Linear(WIDTH, config.vocab_size, bias=False)

    def get_input_embeddings(self):
        return self.words

    def get_output_embeddings(self):
        return self.head

    def embedded(self, ids):
        return self.words(ids)

    def forward(
        self, input_ids=None, attention_mask=None, use_cache=False, return_dict=True, **kwargs
    ):
        x = self.embedded(input_ids)
        mask = create_causal_mask(
            self.config, inputs_embeds=x, attention_mask=attention_mask, past_key_values=None
        )
        for _ in range(self.times):
            for block in self.blocks:
                x = block(x, mask)
        return CausalLMOutputWithPast(logits=self.head(x))


def graph_of(kind):
    return emit(export(build_model(Config(), kind)).graph)


def declared(graph, kind):
    return [d for d in graph.declarations if d.WhichOneof("kind") == kind]


class AttentionTest(unittest.TestCase):
    def test_a_bias_of_each_key_is_one_more_dimension_of_queries_and_keys(self):
        class OfKeys(Attention):
            def mask(self, mask, v):
                bias = v.sum(-1)[:, :, None].expand(
                    -1, -1, v.shape[2], -1
                )  # [1, heads, queries, keys]
                return bias.masked_fill(mask != 0, torch.finfo(v.dtype).min)

        graph = graph_of(type("KeyBias", (Kind,), {"part": OfKeys}))
        attentions = [d.attention for d in declared(graph, "attention")]
        self.assertEqual([(a.qk_dim, a.v_dim) for a in attentions], [(SIZE + 1, SIZE)])

    def test_a_bias_of_each_pair_is_refused(self):
        class OfPairs(Attention):
            def mask(self, mask, v):
                return mask + v.sum(-1)[:, :, None] * v.sum(-1)[..., None]

        with self.assertRaisesRegex(Refused, "one value of each key"):
            graph_of(type("PairBias", (Kind,), {"part": OfPairs}))

    def test_a_bias_of_each_query_is_none_of_keys(self):
        class OfQueries(Attention):
            def mask(self, mask, v):
                return mask + v.sum(-1)[..., None]

        with self.assertRaisesRegex(Refused, "no number of each key where a key is seen"):
            graph_of(type("QueryBias", (Kind,), {"part": OfQueries}))

    def test_layers_are_counted_as_they_are_run(self):
        graph = graph_of(type("Thrice", (Kind,), {"times": 3}))
        self.assertEqual([d.attention.layer for d in declared(graph, "attention")], [0, 1, 2])
        self.assertEqual(
            (graph.spec.num_layers, len(declared(graph, "linear"))), (3, 3)
        )  # weights are shared
        self.assertEqual(list(graph.spec.pp_plan), [])

    def test_two_attentions_of_a_layer_are_two_layers(self):
        class Two(nn.Module):
            def __init__(self, config, i):
                super().__init__()
                self.layer_idx = i  # that of the whole says nothing
                self.parts = nn.ModuleList(Attention(config, 2 * i + j) for j in range(2))

            def forward(self, x, mask):
                return self.parts[1](x + self.parts[0](x, mask), mask)

        graph = graph_of(type("TwoAttentions", (Kind,), {"part": Two}))
        self.assertEqual([d.attention.layer for d in declared(graph, "attention")], [0, 1])
        self.assertEqual(graph.spec.num_layers, 2)


class TokensBeforeTest(unittest.TestCase):
    def states(self, part):
        graph = graph_of(type("Before", (Kind,), {"part": part}))
        return [[dim.size for dim in d.state.type.dims] for d in declared(graph, "state") ]

    def test_tokens_are_moved_on(self):
        class Moved(Attention):
            def __init__(self, config, i):
                super().__init__(config, i)
                self.start = nn.Parameter(torch.empty(WIDTH))

            def forward(self, x, mask):
                after_zeros = torch.cat([self.q(x.new_zeros(1, 1, WIDTH)), self.q(x)[:, :-1]], 1)
                after_others = torch.cat([self.start.view(1, 1, -1), x[:, :-1]], 1)
                return super().forward(x, mask) * after_zeros + after_others * nn.functional.pad(
                    x, (0, 0, 2, -2)
                )

        self.assertEqual(sorted(self.states(Moved)), [[WIDTH, 1], [WIDTH, 1], [WIDTH, 2]])

    def test_convolutions_over_a_padded_text_by_channel_and_by_group(self):
        class Convolved(Attention):
            def __init__(self, config, i):
                super().__init__(config, i)
                self.by_channel = nn.Conv1d(WIDTH, WIDTH, 3, groups=WIDTH)
                self.by_group = nn.Conv1d(WIDTH, WIDTH, 2, groups=4)

            def forward(self, x, mask):
                y = nn.functional.pad(x.transpose(1, 2), (3, 0))
                return super().forward(x, mask) + self.by_group(self.by_channel(y)).transpose(1, 2)

        self.assertEqual(self.states(Convolved), [[WIDTH, 2], [WIDTH, 1]])


class RestTest(unittest.TestCase):
    def test_parts_that_known_truths_choose_are_those_of_the_graph(self):
        class Adapted(Attention):
            def __init__(self, config, i):
                super().__init__(config, i)
                self.adapters = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

            def forward(self, x, mask):
                which, out = 2 * torch.ones(x.shape[0]), torch.zeros_like(x)
                for i, adapter in enumerate(self.adapters):
                    out[which == i] = adapter(x[which == i])
                return super().forward(x, mask) + out

        graph = graph_of(type("Adapters", (Kind,), {"part": Adapted}))
        adapters = [d.name for d in declared(graph, "linear") if "adapters" in d.name]
        self.assertEqual(adapters, ["blocks.0.part.adapters.2"])

    def test_a_head_may_be_wider_than_the_embedding(self):
        class Narrow(Kind):
            embedding_size = 6

            def __init__(self, config):
                super().__init__(config)
                self.widen = nn.Linear(6, WIDTH)
                self.head = nn.Linear(WIDTH, config.vocab_size)

            def embedded(self, ids):
                return self.widen(self.words(ids))

        graph = graph_of(Narrow)
        sizes = {d.name: d.embedding.size for d in declared(graph, "embedding")}
        self.assertEqual(sizes, {"words": 6, "head": WIDTH})
        self.assertEqual((graph.spec.hidden_size, graph.spec.embed_tokens), (WIDTH, "head"))
        self.assertEqual([i.name for i in graph.spec.inputs], ["input_ids"])
        head = declared(graph, "linear")[-1]
        self.assertEqual(
            (head.name, graph.declarations[head.tied_to - 1].name), ("lm_head", "head")
        )
        self.assertIn(
            (["head\\.bias"], ["lm_head.bias"]),
            [(list(getattr(r, "from")), list(r.to)) for r in graph.spec.renames],
        )

    def test_where_longer_texts_are_computed_otherwise_the_graph_ends(self):
        class Bounded(Kind):
            def embedded(self, ids):
                x = self.words(ids)
                return x * 2 if ids.shape[1] > 50 else x

        self.assertEqual(graph_of(Bounded).spec.max_positions, 50)

    def test_a_variance_is_of_all_or_of_all_but_one(self):
        class Spread(Attention):
            def forward(self, x, mask):
                return super().forward(x, mask) * x.var(-1, False, keepdim=True) + x.var(
                    -1, keepdim=True
                )

        graph_of(type("Variance", (Kind,), {"part": Spread}))


if __name__ == "__main__":
    unittest.main()
