"""Graph files through the server: a class that no family serves, and files that mean harm.

More damaged files than every run takes: `--test_arg=--rounds=1000`, for each of FAMILIES.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from typing import Any

from tests.server import checkpoints
from tests.server.serving import Server

EXPORT = pathlib.Path("apps/plugin/plugin").absolute()
PAGE = pathlib.Path("docs/graph-files.md")
MUTATE = pathlib.Path("tests/recorded/mutate_graph").absolute()
# Attention of several kinds, experts, latents, recurrences alone and beside attention.
FAMILIES = ("llama", "gemma3", "gpt_oss", "deepseek_v3", "mamba2", "recurrent_gemma")
SEED = 20261130
rounds = 12

PROMPT = [7, 9, 30, 11, 5]
OTHERS = [[8, 8, 8, 40, 41, 42, 43], [60, 3, 60]]


def greedy(model: str, prompt: Any) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": 4,
        "temperature": 0,
        "ignore_eos": True,
        "return_token_ids": True,
    }


def write_graph(model: pathlib.Path, graph: pathlib.Path) -> None:
    """What the family's plugin records for the checkpoint."""
    command = [EXPORT, "export-graph", model, "--output", graph, "--no-manifest"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def copy_family(target: pathlib.Path, family: str) -> pathlib.Path:
    """Its tiny checkpoint, with Llama's tokenizer."""
    checkpoints.copy(target)
    source = pathlib.Path("plugins", family, "testdata/default")
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (target / name).write_bytes((source / name).read_bytes())
    return target


def rebind(graph: pathlib.Path, old: bytes, new: bytes) -> None:
    """Writes the sha256 of another config.json into a graph file: digits, so no length changes."""
    digests = [hashlib.sha256(config).hexdigest().encode() for config in (old, new)]
    content = graph.read_bytes()
    assert content.count(digests[0]) == 1
    graph.write_bytes(content.replace(*digests))


class NewClassTest(unittest.TestCase):
    """A model class without a family, made by hand: Llama's computation under another name."""

    def test_is_served_by_its_graph_unasked(self) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            model = checkpoints.copy(pathlib.Path(temporary, "new"))
            graph = model / "keel-graph.pb"
            write_graph(model, graph)
            config = (model / "config.json").read_bytes()
            renamed = config.replace(b"LlamaForCausalLM", b"NovelForCausalLM")
            (model / "config.json").write_bytes(renamed)
            rebind(graph, config, renamed)
            with Server("--model", str(model)) as server:
                info = server.get("/info").json()
                self.assertEqual(info["model_impl"], "graph")
                self.assertIn(
                    "auto: a graph file serves NovelForCausalLM by keel-graph.pb",
                    info["model_impl_reason"],
                )
                (listed,) = server.get("/v1/models").json()["data"]
                self.assertEqual(listed["keel"]["model_impl_source"], "a graph file")
                self.assertEqual(server.metric("keel:model_info", 'model_impl="graph"'), 1)
                goldens = checkpoints.LLAMA / "goldens.safetensors"
                body = greedy(listed["id"], checkpoints.read_ids(goldens, "prompt_7"))
                answer = server.post("/v1/completions", {**body, "max_tokens": 32})
                self.assertEqual(
                    answer.json()["choices"][0]["token_ids"],
                    checkpoints.read_ids(goldens, "greedy_7"),
                )


class PageTest(unittest.TestCase):
    """The commands of docs/graph-files.md, on the tiny Llama."""

    def test_the_commands(self) -> None:
        (block,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        with tempfile.TemporaryDirectory() as temporary:
            model = checkpoints.copy(pathlib.Path(temporary, "mine"))
            commands = re.findall(
                r"//apps:(\w+) -- (.*)", block.replace("/models/mine", str(model))
            )
            self.assertEqual([app for app, _ in commands], ["plugin", "plugin", "check", "server"])
            for app, words in commands[:-1]:
                program = pathlib.Path("apps", app, app).absolute()
                done = subprocess.run(
                    [program, *shlex.split(words)], capture_output=True, text=True, timeout=60
                )
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                if "--text" in words:
                    self.assertIn('embed_tokens: "model.embed_tokens"', done.stdout)
            with Server(*shlex.split(commands[-1][1])) as server:
                self.assertEqual(server.get("/info").json()["model_impl"], "graph")


class HostileTest(unittest.TestCase):
    """Each damaged file is refused or served right; the server and its other model go on."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        flags = []
        for family in FAMILIES:
            model = copy_family(self.directory / family, family)
            write_graph(model, self.directory / f"{family}.pb")
            options = "model-impl=transformers,kv-cache-memory-bytes=1MiB,deterministic=true"
            flags += ["--model", f"{family}={model},{options}"]
        good = f"good={checkpoints.LLAMA},kv-cache-memory-bytes=1MiB"
        self.server = Server("--model", good, *flags)
        self.addCleanup(self.server.stop)
        self.expected = self.tokens("good", PROMPT)

    def tokens(self, model: str, prompt: Any) -> list[int] | None:
        """Of the first choice; none if the model refuses or fails, in words."""
        answer = self.server.post("/v1/completions", greedy(model, prompt))
        if answer.status != 200:
            self.assertNotEqual(answer.error()["message"], "")
            return None
        return min(answer.json()["choices"], key=lambda choice: choice["index"])["token_ids"]

    def serve(self, model: str) -> str:
        """What comes of the graph file that the model has now."""
        loaded = self.server.post("/models/load", {"model": model})
        if loaded.status != 200:
            self.assertNotEqual(loaded.error()["message"], "")
            return "refused"
        alone = self.tokens(model, PROMPT)
        beside = self.tokens(model, [PROMPT, *OTHERS])
        if alone is not None and beside is not None:
            self.assertEqual(alone, beside, "others in the batch change a text")
        self.assertEqual(self.server.post("/models/unload", {"model": model}).status, 200)
        return "failed in a step" if alone is None else "served"

    def test_damaged_files(self) -> None:
        self.assertIsNotNone(self.expected)
        outcomes = collections.Counter()
        for number, family in enumerate(FAMILIES):
            graph = self.directory / f"{family}.pb"
            current = self.directory / family / "keel-graph.pb"
            current.write_bytes(graph.read_bytes())
            self.assertEqual(self.serve(family), "served", family)
            changed = self.directory / f"{family}_changed"
            changed.mkdir()
            subprocess.run([MUTATE, graph, changed, str(rounds), str(SEED + number)], check=True)
            for file in sorted(changed.iterdir()):
                with self.subTest(family=family, file=file.name):
                    os.replace(file, current)
                    outcomes[self.serve(family)] += 1
                    self.assertIsNone(self.server.process.poll(), "the server ended")
                    self.assertEqual(self.tokens("good", PROMPT), self.expected)
        print(json.dumps(outcomes))
        self.assertGreater(outcomes["refused"], outcomes.total() // 2)
        self.assertGreater(outcomes["served"], 0)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if argument.startswith("--rounds="):
            rounds = int(argument.removeprefix("--rounds="))
            sys.argv.remove(argument)
    unittest.main()
