"""What a model writes in many ops becomes the one that Keel has; and two graphs are compared by
what they compute."""

import unittest

import transformers_env  # noqa: F401, isort: skip
import torch
from keel.export.compare import compare_graphs
from keel.export.proto import graph_pb2
from kinds_test import HEADS, SIZE, WIDTH, Attention, Kind, declared, eager, graph_of
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NOPE, SHARED, VALUE, RANK = 6, 2, 5, 7


class Latent(nn.Module):
    """Latent attention as DeepSeek writes it, without a rope."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.q = nn.Linear(WIDTH, HEADS * (NOPE + SHARED), bias=False)
        self.down = nn.Linear(WIDTH, RANK + SHARED, bias=False)
        self.up = nn.Linear(RANK, HEADS * (NOPE + VALUE), bias=False)
        self.out = nn.Linear(HEADS * VALUE, WIDTH, bias=False)

    def of_heads(self, shared):
        return shared.expand(-1, HEADS, -1, -1)

    def forward(self, x, mask):
        q = self.q(x).view(*x.shape[:2], HEADS, -1).transpose(1, 2)
        latent, shared = self.down(x).split([RANK, SHARED], -1)
        k, v = (
            self.up(latent).view(*x.shape[:2], HEADS, -1).transpose(1, 2).split([NOPE, VALUE], -1)
        )
        k = torch.cat([k, self.of_heads(shared[:, None])], -1)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager)
        return self.out(attend(self, q, k, v, mask, scaling=0.3)[0].reshape(*x.shape[:2], -1))


class LatentTest(unittest.TestCase):
    def attention(self, part):
        graph = graph_of(type("Latents", (Kind,), {"part": part}))
        return graph, declared(graph, "attention")[0].attention

    def test_keys_and_values_of_a_latent_are_not_kept(self):
        graph, attention = self.attention(Latent)
        self.assertEqual(attention.kind, attention.MLA)
        self.assertEqual(
            (attention.kv_lora_rank, attention.rope_dim, attention.v_dim), (RANK, SHARED, VALUE)
        )
        self.assertEqual(graph.declarations[attention.kv_up - 1].name, "blocks.0.part.up")

    def test_keys_of_which_no_part_is_shared_are_kept(self):
        class OfEach(Latent):
            def of_heads(self, shared):
                return torch.cat([shared * (i + 1) for i in range(HEADS)], 1)

        _, attention = self.attention(OfEach)
        self.assertEqual(attention.kind, attention.CAUSAL)


class LinearTest(unittest.TestCase):
    def test_heads_that_hold_q_k_and_v_are_taken_apart(self):
        class Merged(nn.Module):
            def __init__(self, config, layer_idx):
                super().__init__()
                self.config, self.layer_idx = config, layer_idx
                self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)

            def forward(self, x, mask):
                q, k, v = (
                    self.query_key_value(x)
                    .view(*x.shape[:2], HEADS, 3, SIZE)
                    .permute(3, 0, 2, 1, 4)
                )
                attend = ALL_ATTENTION_FUNCTIONS.get_interface(
                    self.config._attn_implementation, eager
                )
                return attend(self, q, k, v, mask, scaling=0.3)[0].reshape(x.shape)

        graph = graph_of(type("MergedHeads", (Kind,), {"part": Merged}))
        linears = [d.name.rpartition(".")[2] for d in declared(graph, "linear")]
        self.assertEqual(sorted(linears), ["k_proj", "q_proj", "v_proj"])
        rule = next(r for r in graph.spec.renames if r.op == r.CHUNK_HEADS)
        self.assertEqual(
            [target.split(".")[1] for target in rule.to], ["q_proj", "k_proj", "v_proj"]
        )
        self.assertEqual(list(rule.sizes), [SIZE] * 3)

    def test_a_linear_in_f32_is_a_product_with_weights_in_f32(self):
        class Exact(Attention):
            def __init__(self, config, i):
                super().__init__(config, i)
                self.exact = nn.Linear(WIDTH, WIDTH)

            def forward(self, x, mask):
                weights = (self.exact.weight.float(), self.exact.bias.float())
                return super().forward(x, mask) + nn.functional.linear(x.float(), *weights).to(
                    x.dtype
                )

        graph = graph_of(type("ExactLinear", (Kind,), {"part": Exact}))
        types = {d.name: d.param.type.dtype for d in declared(graph, "param")}
        names = [f"blocks.0.part.exact.{part}" for part in ("weight", "bias")]
        self.assertEqual(types, dict.fromkeys(names, graph_pb2.F32))


class NormTest(unittest.TestCase):
    def test_a_norm_beside_a_gate_is_one(self):
        class Gated(Attention):
            def __init__(self, config, i):
                super().__init__(config, i)
                self.weight, self.norm = nn.Parameter(torch.empty(WIDTH)), nn.Module()
                self.norm.weight = nn.Parameter(torch.empty(SIZE))

            def forward(self, x, mask):
                gated = x.float() * nn.functional.silu(self.q(x).float())
                of_all = gated * torch.rsqrt(gated.pow(2).mean(-1, keepdim=True) + 1e-3)
                heads = super().forward(x, mask).reshape(-1, SIZE).float()
                of_head = heads * torch.rsqrt(heads.pow(2).mean(-1, keepdim=True) + 1e-2)
                of_head = self.norm.weight * of_head.to(x.dtype)
                return self.weight * of_all.to(x.dtype) + of_head.reshape(x.shape)

        graph = graph_of(type("GatedNorm", (Kind,), {"part": Gated}))
        norms = [d.norm for d in declared(graph, "norm")]
        self.assertEqual(sorted((n.size, round(n.eps, 9), n.no_weight) for n in norms),
                         [(SIZE, 1e-2, False), (WIDTH, 1e-3, True)])  # fmt: skip
        self.assertNotIn(graph_pb2.OP_REDUCE, [n.op for n in graph.functions[0].nodes])


class ChoiceTest(unittest.TestCase):
    def test_a_sum_of_a_truth_and_of_what_is_where_it_is_not_is_a_choice(self):
        class Chosen(Attention):
            def forward(self, x, mask):
                above = x[..., :1] > 0
                return super().forward(x, mask) * (above + ~above * x)

        graph = graph_of(type("Choice", (Kind,), {"part": Chosen}))
        ops = [n.op for n in graph.functions[0].nodes]
        self.assertEqual((ops.count(graph_pb2.OP_WHERE), graph_pb2.OP_UNARY in ops), (1, False))


class CompareTest(unittest.TestCase):
    """embeds [N, 4] -> a linear -> its halves of one product."""

    def graph(self, start=0, cast=False, first="q", name="", axis=1):
        graph = graph_pb2.Graph()
        graph.spec.renames.add(
            op="SPLIT", to=[rf"\1.{first}.\2", r"\1.k.\2"], **{"from": [r"(.*)\.qk\.(weight|bias)"]}
        )
        linear = graph.declarations.add(name=f"layers.0.{name or first}").linear
        setattr(linear, "in", 4)
        linear.out = 4
        function = graph.functions.add(name="forward", outputs=[5])
        self.typed(function.inputs.add(name="embeds").type, 4)
        self.node(
            function,
            "CAST" if cast else "AFFINE",
            [1],
            2,
            4,
            **({"ints": [0]} if cast else {"reals": [2, 0]}),
        )
        self.node(function, "LINEAR", [2], 3, 4, object=1)
        self.node(function, "NARROW", [3], 4, 2, ints=[axis, start, 2])
        self.node(function, "VIEW", [4], 5, 2)
        return graph

    def typed(self, type, size):
        type.dtype = graph_pb2.MODEL
        type.dims.add(symbol="N")
        type.dims.add(size=size)

    def node(self, function, op, inputs, output, size, **fields):
        node = function.nodes.add(
            op=graph_pb2.Op.Value(f"OP_{op}"), inputs=inputs, outputs=[output], **fields
        )
        self.typed(node.types.add(), size)

    def test_the_same_in_other_words_is_the_same(self):
        self.assertEqual(compare_graphs(self.graph(), self.graph(first="queries", axis=-1)), [])

    def test_another_part_of_a_tensor_or_another_op_is_not(self):
        self.assertRegex(
            compare_graphs(self.graph(), self.graph(start=2))[0], "ints .1, 0, 2. and .1, 2, 2."
        )
        self.assertRegex(
            compare_graphs(self.graph(), self.graph(name="k"))[0],
            "the objects layers.0.q and layers.0.k",
        )
        self.assertRegex(
            compare_graphs(self.graph(), self.graph(cast=True))[0],
            "OP_AFFINE .* and the input embeds",
        )


if __name__ == "__main__":
    unittest.main()
