"""Models that answer with vectors: what is exported of their classes, and that it is what the
engine computes."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import transformers_env  # noqa: F401, isort: skip
import transformers
from keel.export import Refused, export_checkpoint, export_model
from keel.export.backbone import Backbone
from keel.export.build import build_model
from keel.export.proto import graph_pb2
from keel.export.trace import first_position, trace

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 96,
}


def graph_of(model_class: type, **more) -> graph_pb2.Graph:
    return export_model(build_model(model_class.config_class(**SIZES, **more), model_class))


def functions(graph: graph_pb2.Graph) -> dict[str, list[str]]:
    """The ops of each."""
    return {
        f.name: [graph_pb2.Op.Name(n.op).removeprefix("OP_") for n in f.nodes]
        for f in graph.functions
    }


class VectorsTest(unittest.TestCase):
    def test_of_a_head_that_nobody_asks_the_base_model_is_left(self):
        graph = graph_of(transformers.BertForMaskedLM)
        self.assertEqual(functions(graph)["pool"], [])
        self.assertEqual(graph.spec.architecture, "BertForMaskedLM")
        self.assertTrue(all(d.name.startswith("bert.") for d in graph.declarations))
        ignored = [r"(bert\.)?pooler\..*", r"(bert\.)?cls\..*"]
        said = [getattr(r, "from")[0] for r in graph.spec.renames if r.op == r.IGNORE]
        self.assertEqual(said, ignored[1:], "BertForMaskedLM has no pooler")
        said = [
            getattr(r, "from")[0]
            for r in graph_of(transformers.BertModel).spec.renames
            if r.op == r.IGNORE
        ]
        self.assertEqual(said, ignored[:1])

    def test_a_classifier_may_take_the_mean(self):
        graph = graph_of(
            transformers.ModernBertForSequenceClassification,
            classifier_pooling="mean",
            pad_token_id=0,
        )
        self.assertEqual(functions(graph)["pool"], ["LINEAR", "UNARY", "NORM", "LINEAR"])
        windows = [d.attention.window for d in graph.declarations if d.HasField("attention")]
        self.assertEqual(
            windows, [0, 65], "128 tokens, of which a token is one, and 64 on each side of it"
        )

    def test_a_classifier_may_take_the_first(self):
        graph = graph_of(
            transformers.EuroBertForSequenceClassification,
            num_key_value_heads=2,
            classifier_pooling="bos",
            pad_token_id=0,
        )
        self.assertEqual(functions(graph)["pool"], ["LINEAR", "UNARY", "LINEAR"])

    def test_padding_may_be_no_token(self):
        graph = graph_of(transformers.LlamaForSequenceClassification, pad_token_id=-1)
        self.assertEqual(functions(graph)["pool"], ["LINEAR"])

    def test_padding_that_the_engine_cannot_know_of_is_refused(self):
        model_class = transformers.GemmaForSequenceClassification  # whose default is 0
        sizes = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
        config = model_class.config_class(**sizes, architectures=[model_class.__name__])
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "config.json")
            for found in ({"pad_token_id": 0}, {"pad_token_id": None}, {"pad_token_id": 3}, {}):
                said = {k: v for k, v in config.to_dict().items() if k != "pad_token_id"}
                path.write_text(json.dumps(said | found))
                if found:  # what is said is the class's too
                    export_checkpoint(directory)
                    continue
                with self.assertRaisesRegex(
                    Refused,
                    r"config\.json: pad_token_id is null, but GemmaForSequenceClassification "
                    r"passes over 0 at a text's end; write 0 there",
                ):
                    export_checkpoint(directory)

    def test_a_base_model_that_is_causal_answers_with_vectors_too(self):
        graph = graph_of(transformers.LlamaModel)
        self.assertEqual(list(functions(graph)), ["forward", "pool"])
        self.assertEqual(
            {d.attention.kind for d in graph.declarations if d.HasField("attention")}, {0}
        )
        self.assertIn("model.layers.0.self_attn.q_proj", [d.name for d in graph.declarations])

    def test_heads_that_answer_for_each_token_are_refused(self):
        with self.assertRaisesRegex(
            Refused, "BertForTokenClassification has a head that is not served"
        ):
            graph_of(transformers.BertForTokenClassification)

    def test_biases_of_distances_are_arguments_of_the_attention(self):
        for model_class, more, names, farthest in (
            (transformers.MPNetModel, {}, ["distance_bias"], 91),
            (
                transformers.DebertaV2Model,
                {
                    "relative_attention": True,
                    "pos_att_type": ["p2c", "c2p"],
                    "position_buckets": 8,
                    "max_position_embeddings": 64,
                },
                ["key_distance_bias", "query_distance_bias"],
                64,
            ),
        ):
            graph = graph_of(model_class, **more)
            nodes = [n for n in graph.functions[0].nodes if n.op == graph_pb2.OP_ATTENTION]
            types = {o: t for n in graph.functions[0].nodes for o, t in zip(n.outputs, n.types)}
            self.assertEqual(len(nodes), SIZES["num_hidden_layers"])
            for node in nodes:
                self.assertEqual(sorted(node.names), names)
                for value in node.inputs[3:]:
                    self.assertEqual(types[value].dims[-1].size, 2 * farthest + 1)

    def test_embeddings_may_be_narrower_than_hidden_states(self):
        graph = graph_of(transformers.ElectraModel, embedding_size=16)
        self.assertEqual(graph.functions[0].inputs[0].type.dims[1].size, 16)
        self.assertEqual(graph.spec.hidden_size, 32)

    def test_a_class_whose_tokens_do_not_meet_is_refused(self):
        """Without its kernel of CUDA this one gives zeros in place of what attention gives."""
        with self.assertRaisesRegex(Refused, "no token has to do with another"):
            graph_of(transformers.MraModel)

    def test_positions_begin_where_the_class_begins(self):
        for model_class, first in (
            (transformers.MraModel, 2),
            (transformers.RobertaModel, 1),
            (transformers.MPNetModel, 2),  # whatever its configuration says of padding
        ):
            config = model_class.config_class(**SIZES, pad_token_id=0)
            model = Backbone(build_model(config, model_class))
            trace(model)
            self.assertEqual(first_position(model), first)

    def test_the_engine_computes_what_the_class_does(self):
        """The numbers for the label of every token, beside others and alone."""
        checkpoint = pathlib.Path("plugins/bert/testdata/xlm_roberta_classifier")
        with tempfile.TemporaryDirectory() as out:
            export_checkpoint(checkpoint, out)
            command = ["tests/transformers/check_graph", f"{out}/keel-graph.pb", checkpoint]
            done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(
            [line.split()[0] for line in done.stdout.splitlines()], ["whole", "batched"]
        )


if __name__ == "__main__":
    unittest.main()
