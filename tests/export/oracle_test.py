"""Holds exported graphs against those that the families' plugins record: the same but for numbering and names."""

import pathlib
import unittest

import transformers_env  # noqa: F401, isort: skip
import transformers
from google.protobuf import text_format
from keel.export import export_model
from keel.export.build import build_model
from keel.export.compare import compare_graphs
from keel.export.proto import graph_pb2

VARIANTS = [
    "gemma3/testdata/default",
    "gpt_oss/testdata/default",
    "llama/testdata/default",
    "mistral/testdata/default",
    "phi3/testdata/default",
    "qwen2/testdata/default",
    "qwen3/testdata/default",
    "qwen3_moe/testdata/default",
]
# Where the plugin and the class differ, and which is meant.
SAID = {
    "gpt_oss/testdata/default": ["ep_plan"],  # the plugin states none
}


class OracleTest(unittest.TestCase):
    maxDiff = None

    def test_exported_graphs_are_those_that_plugins_record(self):
        for variant in VARIANTS:
            with self.subTest(variant):
                directory = pathlib.Path("plugins") / variant
                config = transformers.AutoConfig.from_pretrained(directory)
                exported = export_model(build_model(config))
                recorded = text_format.Parse((directory / "graph.textproto").read_text(), graph_pb2.Graph())
                differences = compare_graphs(exported, recorded)
                said = SAID.get(variant, [])
                self.assertEqual([d for d in differences if not d.startswith(tuple(said))], [])
                self.assertEqual(len(differences), len(said))

    def test_a_graph_that_differs_is_told(self):
        text = pathlib.Path("plugins/llama/testdata/default/graph.textproto").read_text()
        graph, other = (text_format.Parse(text, graph_pb2.Graph()) for _ in range(2))
        self.assertEqual(compare_graphs(graph, other), [])
        other.declarations[1].norm.eps *= 2
        self.assertRegex(compare_graphs(graph, other)[0], "model.norm: eps is 0.001 and 0.002")


if __name__ == "__main__":
    unittest.main()
