"""Exports a model that transformers does not have, from a checkpoint that brings its Python."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

os.environ["HF_HOME"] = os.environ.get(
    "TEST_TMPDIR", tempfile.gettempdir()
)  # copies of a checkpoint's Python go there

import transformers_env  # noqa: F401, E402, isort: skip
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
from keel.export import Refused, export_checkpoint  # noqa: E402
from keel.export.checkpoint import load_class  # noqa: E402
from keel.export.proto import graph_pb2  # noqa: E402

CONFIG = {
    "architectures": ["TwinForCausalLM"],
    "model_type": "twin",
    "auto_map": {
        "AutoConfig": "modeling_twin.TwinConfig",
        "AutoModelForCausalLM": "modeling_twin.TwinForCausalLM",
    },
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 96,
    "num_experts": 3,
    "windows": [0, 5, 9],
}


def write_weights_and_goldens(
    directory: pathlib.Path, length: int = 31, new_tokens: int = 16
) -> None:
    """Random weights, and what the class computes from them: a prompt longer than its windows, and
    what follows."""
    config, model_class = load_class(directory, trust_remote_code=True)
    torch.manual_seed(0)
    model = model_class(config).eval()
    for parameter in model.parameters():
        parameter.data.copy_(
            torch.randn(parameter.shape)
            * (parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.5)
        )
    safetensors.torch.save_file(model.state_dict(), directory / "model.safetensors")
    ids, positions = (
        torch.randint(0, config.vocab_size, (1, length)),
        torch.arange(length + new_tokens)[None],
    )
    text = ids
    with torch.no_grad():
        for _ in range(new_tokens):
            logits = model(input_ids=text, position_ids=positions[:, : text.shape[1]]).logits[0]
            text = torch.cat([text, logits[-1:].argmax(-1)[None]], 1)
    goldens = {"prompt": ids[0], "logits": logits[:length], "greedy": text[0, length:]}
    goldens = {f"{name}_{length}": tensor.contiguous() for name, tensor in goldens.items()}
    safetensors.torch.save_file(goldens, directory / "goldens.safetensors")


class CustomTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (cls.directory / "config.json").write_text(json.dumps(CONFIG))
        shutil.copy("tests/export/modeling_twin.py", cls.directory)
        write_weights_and_goldens(cls.directory)
        cls.said = export_checkpoint(cls.directory, trust_remote_code=True)

    def test_its_python_is_not_run_unasked(self):
        with self.assertRaisesRegex(
            Refused, "auto_map names modeling_twin.TwinForCausalLM.*--trust-remote-code"
        ):
            export_checkpoint(self.directory)

    def test_what_it_is_made_of_is_recognised_and_bound_to_its_files(self):
        graph = graph_pb2.Graph.FromString((self.directory / "keel-graph.pb").read_bytes())
        config = hashlib.sha256((self.directory / "config.json").read_bytes()).hexdigest()
        self.assertEqual(graph.provenance.config_sha256, config)
        self.assertEqual(list(self.said["remote_code"]), ["modeling_twin.py"])
        self.assertLess(max(self.said["errors"].values()), 1e-5)
        self.assertEqual(self.said["left_as_primitives"], [])
        windows = [d.attention.window for d in graph.declarations if d.HasField("attention")]
        self.assertEqual(windows, [0, 5, 9])
        self.assertEqual(self.said["recognised"]["ropes"], 6)
        self.assertEqual(sum(self.said["recognised"]["norms"].values()), 4)
        self.assertEqual(graph.spec.embed_scale, 3)
        self.assertEqual(
            [f.name for f in graph.functions], ["forward", "logits"]
        )  # its head has a bias

    def test_the_engine_computes_what_its_own_forward_does(self):
        command = [
            "tests/transformers/check_graph",
            str(self.directory / "keel-graph.pb"),
            str(self.directory),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
