"""Plugins that bring attention and kernels of their own, served over HTTP: sdk/examples."""

import pathlib
import tempfile
import unittest

from tests.server import checkpoints
from tests.server.serving import Server

EXAMPLES = pathlib.Path("sdk/examples").absolute()
PROMPTS = (
    "What is a river?",
    "Tell me about the sun.",
    "A dog is",
    "The capital of the country",
)


def library(name: str) -> str:
    return str(EXAMPLES / name / f"lib{name}.so")


def texts(server: Server) -> list[str]:
    out = []
    for prompt in PROMPTS:
        body = {"prompt": prompt, "max_tokens": 40, "temperature": 0}
        out.append(server.post("/v1/completions", body).json()["choices"][0]["text"])
    return out


class Int8KvTest(unittest.TestCase):
    def test_the_demos_texts_are_the_hosts(self) -> None:
        with Server() as server:
            expected = texts(server)
        flags = ("--plugin-path", library("int8_kv"))
        with Server(*flags, "--attention-implementation", "org.example.int8_kv") as server:
            self.assertEqual(
                server.get("/info").json()["attention_implementation"], "org.example.int8_kv"
            )
            self.assertEqual(texts(server), expected)


class GoldensTest(unittest.TestCase):
    """Tokens that transformers computed."""

    def check(self, model: pathlib.Path, goldens: pathlib.Path, plugin: str) -> None:
        with Server("--model", str(model), "--plugin-path", library(plugin)) as server:
            body = {
                "prompt": checkpoints.read_ids(goldens, "prompt_300"),
                "max_tokens": 32,
                "temperature": 0,
                "ignore_eos": True,
                "return_token_ids": True,
            }
            choice = server.post("/v1/completions", body).json()["choices"][0]
            self.assertEqual(choice["token_ids"], checkpoints.read_ids(goldens, "greedy_300"))

    def test_rwkv(self) -> None:
        model = EXAMPLES / "rwkv/testdata/default"
        self.check(model, model / "goldens.safetensors", "rwkv")

    def test_llama_with_a_fused_mlp(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            model = checkpoints.copy(pathlib.Path(directory) / "fused")
            checkpoints.edit_json(
                model / "config.json",
                lambda config: config.update(architectures=["FusedLlamaForCausalLM"]),
            )
            self.check(model, checkpoints.LLAMA / "goldens.safetensors", "fused_mlp")


if __name__ == "__main__":
    unittest.main()
