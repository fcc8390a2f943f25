"""Holds exported graphs against those that the families' plugins record: the same but for numbering
and names. Of a family that sees it is the text's part that is compared: an export is of text.

Among the tests a few families, by itself all but those that oracle_differences.py names: ./bazelw
test //tests/export:oracle_test
"""

import pathlib
import sys
import unittest

import transformers_env  # noqa: F401, isort: skip
import transformers
from google.protobuf import text_format
from keel.export import export_model
from keel.export.build import build_model
from keel.export.compare import compare_graphs
from keel.export.proto import graph_pb2
from oracle_differences import APART, DIFFERENCES, PLAIN

# An encoder; windows and two ropes; the plain case; the text of one that sees; experts.
FEW = ("bert", "gemma3", "llama", "qwen2_vl", "qwen3_moe")


def families() -> list[str]:
    """Those of plugins/families.bzl, whose files BUILD puts here."""
    return sorted(
        file.parts[1] for file in pathlib.Path().glob("plugins/*/testdata/default/graph.textproto")
    )


def recorded(family: str) -> graph_pb2.Graph:
    """Its part for text: no encoders, and attention without groups, which are of images."""
    text = pathlib.Path(f"plugins/{family}/testdata/default/graph.textproto").read_text()
    graph = text_format.Parse(text, graph_pb2.Graph())
    kept = [f for f in graph.functions if not f.name.startswith("encode/")]
    del graph.functions[:]
    graph.functions.extend(kept)
    for node in (node for function in graph.functions for node in function.nodes):
        if node.op == graph_pb2.OP_ATTENTION and "groups" in node.names:
            at = list(node.names).index("groups")
            del node.inputs[3 + at], node.names[at], node.ints[at]  # behind q, k and v
    return graph


def exported(family: str) -> graph_pb2.Graph:
    config = transformers.AutoConfig.from_pretrained(f"plugins/{family}/testdata/default")
    return export_model(build_model(_of_text(config)))


def _of_text(config: transformers.PreTrainedConfig) -> transformers.PreTrainedConfig:
    """The configuration itself, or that of the language model in it."""
    text = config.get_text_config()
    if text is config:
        return config
    text.tie_word_embeddings = getattr(config, "tie_word_embeddings", False)
    if text.model_type not in PLAIN:
        return text
    said = {k: v for k, v in text.to_dict().items() if k not in ("model_type", "architectures")}
    said["head_dim"] = text.hidden_size // text.num_attention_heads
    rope = {k: v for k, v in said.pop("rope_parameters").items() if k != "mrope_section"}
    return transformers.AutoConfig.for_model(PLAIN[text.model_type], rope_parameters=rope, **said)


class OracleTest(unittest.TestCase):
    maxDiff = None
    families = FEW

    def test_exported_graphs_are_those_that_plugins_record(self):
        for family in self.families:
            with self.subTest(family):
                differences = compare_graphs(exported(family), recorded(family))
                said = DIFFERENCES.get(family, {})
                unsaid = [d for d in differences if not d.startswith(tuple(said))]
                self.assertEqual(unsaid, [])
                gone = [s for s in said if not any(d.startswith(s) for d in differences)]
                self.assertEqual(gone, [], "said to differ and does not")

    def test_each_family_is_compared_or_said_to_be_apart(self):
        self.assertLessEqual({*FEW, *DIFFERENCES, *APART}, set(families()))

    def test_a_graph_that_differs_is_told(self):
        graph, other = recorded("llama"), recorded("llama")
        self.assertEqual(compare_graphs(graph, other), [])
        other.declarations[1].norm.eps *= 2
        self.assertRegex(compare_graphs(graph, other)[0], "model.norm: eps is 0.001 and 0.002")


if __name__ == "__main__":
    OracleTest.families = sys.argv[1:] or [f for f in families() if f not in APART]
    unittest.main(argv=sys.argv[:1])
