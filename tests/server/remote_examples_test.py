"""Checkpoints that bring their own model: each family of sdk/examples from its own directory,
through auto_map."""

import hashlib
import json
import pathlib
import platform
import shutil
import tempfile
import unittest

from tests.server import checkpoints
from tests.server.serving import Server

EXAMPLES = pathlib.Path("sdk/examples").absolute()
# Recorded in a jail; what works on the data itself runs in the process, pinned.
IN_PROCESS = ("rwkv",)


def families() -> list[str]:
    return sorted(path.parent.parent.name for path in EXAMPLES.glob("*/testdata/default"))


def architectures(model: pathlib.Path) -> list[str]:
    return json.loads((model / "config.json").read_text())["architectures"]


class RemoteExamplesTest(unittest.TestCase):
    def checkpoint(self, folder: str, family: str) -> tuple[pathlib.Path, str]:
        """A directory as its author would publish it, and its library's sha256."""
        source = EXAMPLES / family / "testdata/default"
        model = checkpoints.copy(pathlib.Path(folder, family), source)
        library = model / f"lib{family}.so"
        shutil.copyfile(EXAMPLES / family / library.name, library)
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
        artifact = {
            "kind": "so",
            "os": "linux",
            "arch": platform.machine(),
            "path": library.name,
            "sha256": digest,
        }
        manifest = {
            "id": f"org.example.{family}",
            "version": "1.0.0",
            "architectures": architectures(model),
            "artifacts": [artifact],
        }
        (model / "our_plugin.json").write_text(json.dumps(manifest))
        auto_map = {"AutoModelForCausalLM": "modeling.Model", "KeelPlugin": "our_plugin.json"}
        checkpoints.edit_json(
            model / "config.json", lambda config: config.update(auto_map=auto_map)
        )
        return model, digest

    def test_each_is_served_from_its_directory(self) -> None:
        self.assertGreater(len(families()), 7)
        for family in families():
            with self.subTest(family), tempfile.TemporaryDirectory() as folder:
                model, digest = self.checkpoint(folder, family)
                trust = f"=full,{digest}" if family in IN_PROCESS else ""
                with Server("--model", str(model), "--trust-remote-code" + trust) as server:
                    self.assertIn("the checkpoint", server.get("/info").json()["plugin"])
                    goldens = EXAMPLES / family / "testdata/default/goldens.safetensors"
                    body = {
                        "prompt": checkpoints.read_ids(goldens, "prompt_7"),
                        "max_tokens": 32,
                        "temperature": 0,
                        "ignore_eos": True,
                        "return_token_ids": True,
                    }
                    choice = server.post("/v1/completions", body).json()["choices"][0]
                    self.assertEqual(choice["token_ids"], checkpoints.read_ids(goldens, "greedy_7"))


if __name__ == "__main__":
    unittest.main()
