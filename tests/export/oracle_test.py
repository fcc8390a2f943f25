"""Holds exported graphs against those that the families' plugins record: the same but for numbering
and names.

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
from oracle_differences import APART, DIFFERENCES

# An encoder; windows and two ropes; the plain case; experts.
FEW = ("bert", "gemma3", "llama", "qwen3_moe")


def families() -> list[str]:
    """Those of plugins/families.bzl, whose files BUILD puts here."""
    return sorted(
        file.parts[1] for file in pathlib.Path().glob("plugins/*/testdata/default/graph.textproto")
    )


def recorded(family: str) -> graph_pb2.Graph:
    text = pathlib.Path(f"plugins/{family}/testdata/default/graph.textproto").read_text()
    return text_format.Parse(text, graph_pb2.Graph())


class OracleTest(unittest.TestCase):
    maxDiff = None
    families = FEW

    def test_exported_graphs_are_those_that_plugins_record(self):
        for family in self.families:
            with self.subTest(family):
                config = transformers.AutoConfig.from_pretrained(
                    f"plugins/{family}/testdata/default"
                )
                differences = compare_graphs(export_model(build_model(config)), recorded(family))
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
