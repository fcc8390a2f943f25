"""Models of vectors by the graphs that are exported of transformers' classes, over HTTP, against
what the classes compute."""

import json
import math
import pathlib
import tempfile
import unittest

import transformers_env  # noqa: F401, isort: skip
import torch
import transformers
from keel.export import export_checkpoint
from tests.server import checkpoints
from tests.server.serving import Server, run_to_end

BERT = pathlib.Path("plugins/bert/testdata").absolute()
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TEXTS = ["hello", "What is the sea?", "What is the sea? hello, the user!"]
POOLING = "sentence_transformers.models"


class ExportedTest(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, model_class: type, tokenizer: pathlib.Path, **config) -> torch.nn.Module:
        """The checkpoint of a class with random weights, and its graph."""
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (self.directory / name).write_bytes((tokenizer / name).read_bytes())
        torch.manual_seed(0)
        model = model_class(model_class.config_class(**(SIZES | config))).eval()
        for parameter in model.parameters():
            spread = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.5
            parameter.data.copy_(torch.randn(parameter.shape) * spread)
        model.save_pretrained(self.directory)
        export_checkpoint(self.directory)
        return model

    def expect_classes(self, server: Server, model: torch.nn.Module, *more: list[int]) -> None:
        """Of TEXTS, and of `more` tokens."""
        asked = [server.post("/tokenize", {"prompt": text}).json()["tokens"] for text in TEXTS]
        asked += more
        answer = server.post("/classify", {"input": [*TEXTS, *more]}).json()
        for ids, data in zip(asked, answer["data"], strict=True):
            with torch.no_grad():
                expected = model(input_ids=torch.tensor([ids])).logits[0].softmax(0).tolist()
            self.assertEqual(len(data["probs"]), len(expected))
            for x, y in zip(data["probs"], expected):
                self.assertAlmostEqual(x, y, delta=1e-4)

    def test_a_classifier_that_takes_the_mean(self) -> None:
        model = self.write(
            transformers.ModernBertForSequenceClassification, BERT / "default", vocab_size=128,
            num_labels=3, pad_token_id=0, local_attention=8, global_attn_every_n_layers=2,
            classifier_pooling="mean",
        )  # fmt: skip
        with Server("--model", str(self.directory)) as server:
            self.assertEqual(server.get("/info").json()["pooling"]["type"], "MEAN")
            self.expect_classes(server, model)

    def test_a_causal_classifier_in_several_steps(self) -> None:
        config = json.loads((checkpoints.LLAMA / "config.json").read_text())
        model = self.write(
            transformers.LlamaForSequenceClassification, checkpoints.LLAMA,
            vocab_size=config["vocab_size"], num_key_value_heads=2, num_labels=3, pad_token_id=0,
        )  # fmt: skip
        flags = ("--max-num-batched-tokens", "8", "--convert", "classify")
        with Server("--model", str(self.directory), *flags) as server:
            self.assertEqual(server.get("/info").json()["pooling"]["type"], "LAST")
            padded = [5, 0, 7, 9, 0, 0], [0, 0, 7], [0, 0, 0], [7]
            self.expect_classes(server, model, *padded)
        refused = run_to_end("--model", str(checkpoints.LLAMA), *flags)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(
            "--convert is classify, but LlamaForCausalLM has no head for labels", refused.stderr
        )

    def test_a_cross_encoder_reads_pairs(self) -> None:
        """By the export in the plugin's place; texts.json is transformers' word."""
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            (self.directory / name).write_bytes((BERT / "cross_encoder" / name).read_bytes())
        export_checkpoint(self.directory)
        texts = json.loads((BERT / "cross_encoder/texts.json").read_text())
        pairs = [t for t in texts if t["pair"] is not None]
        query, documents = pairs[0]["text"], [t["pair"] for t in pairs]
        expected = [1 / (1 + math.exp(-t["first"][0])) for t in pairs]
        with Server("--model", str(self.directory), "--model-impl", "transformers") as server:
            scores = server.post("/score", {"text_1": query, "text_2": documents}).json()["data"]
            for score, x in zip(scores, expected, strict=True):
                self.assertAlmostEqual(score["score"], x, delta=1e-4)
            results = server.post("/rerank", {"query": query, "documents": documents}).json()[
                "results"
            ]
            self.assertEqual(
                [r["index"] for r in results], sorted(range(len(pairs)), key=lambda i: -expected[i])
            )

    def test_an_embedding_model_of_sentence_transformers(self) -> None:
        model = self.write(
            transformers.DistilBertForMaskedLM,
            BERT / "default",
            vocab_size=128,
            dim=32,
            n_layers=2,
            n_heads=4,
            hidden_dim=48,
        )
        modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
        modules = [
            {"idx": i, "name": str(i), "path": p, "type": f"{POOLING}.{t}"}
            for i, (p, t) in enumerate(modules)
        ]
        (self.directory / "modules.json").write_text(json.dumps(modules))
        (self.directory / "1_Pooling").mkdir()
        (self.directory / "1_Pooling/config.json").write_text(
            json.dumps({"pooling_mode_mean_tokens": True})
        )
        with Server("--model", str(self.directory)) as server:
            data = server.post("/v1/embeddings", {"input": TEXTS}).json()["data"]
            for text, found in zip(TEXTS, data, strict=True):
                ids = server.post("/tokenize", {"prompt": text}).json()["tokens"]
                with torch.no_grad():
                    hidden = (
                        model.distilbert(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
                    )
                for x, y in zip(found["embedding"], hidden.tolist(), strict=True):
                    self.assertAlmostEqual(x, y, delta=1e-4 * max(1, hidden.abs().max()))


if __name__ == "__main__":
    unittest.main()
