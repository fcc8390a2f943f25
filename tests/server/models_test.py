"""Several models in one server: calls choose, and they are loaded and unloaded."""

import json
import pathlib
import tempfile
import time
import unittest
from typing import Any

import openai
from tests.server import checkpoints
from tests.server.serving import Response, Server

ONE = {"prompt": "A", "max_tokens": 3, "ignore_eos": True}


class ModelsTest(unittest.TestCase):
    """Two copies of a tiny checkpoint, of which one fits."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        directory = pathlib.Path(temporary.name)
        for name in ("first", "second"):
            checkpoints.copy(directory / name)
        cache = "kv-cache-memory-bytes=1MiB"
        cls.server = Server(
            *("--model", f"org/first={directory}/first,{cache}"),
            *("--model", f"second={directory}/second,{cache}"),
            *("--models-memory-bytes", "2MiB"),
        )
        cls.addClassCleanup(cls.server.stop)

    def states(self) -> dict[str, str]:
        models = self.server.get("/v1/models").json()["data"]
        return {model["id"]: model["state"] for model in models}

    def complete(self, model: str) -> Response:
        return self.server.post("/v1/completions", {**ONE, "model": model})

    def test_calls_choose_and_the_other_goes(self) -> None:
        for name, other in (("second", "org/first"), ("org/first", "second")):
            self.assertEqual(self.complete(name).json()["model"], name)
            self.assertEqual(self.states(), {name: "ready", other: "registered"})
        self.assertEqual(self.server.post("/v1/completions", ONE).json()["model"], "org/first")
        missing = self.complete("third")
        self.assertEqual((missing.status, missing.error()["code"]), (404, "model_not_found"))

    def test_by_hand(self) -> None:
        loaded = self.server.post("/models/load", {"model": "second"})
        self.assertEqual(loaded.json(), {"id": "second", "state": "ready"})
        unloaded = self.server.post("/models/unload", {"model": "second"})
        self.assertEqual(unloaded.json(), {"id": "second", "state": "registered"})
        self.assertEqual(self.states()["second"], "registered")
        self.assertEqual(self.complete("org/first").status, 200)

    def test_a_model_that_is_in_use_stays(self) -> None:
        self.server.post("/models/load", {"model": "second"})
        stream = self.server.stream(
            "/v1/completions", {**ONE, "model": "second", "max_tokens": 200}
        )
        events = iter(stream)
        next(events)
        refused = self.server.post("/models/unload", {"model": "second", "timeout_seconds": 0})
        if refused.status != 200:  # it was quicker
            self.assertEqual((refused.status, refused.error()["code"]), (409, "conflict"))
        stream.close()

    def test_names_with_a_slash(self) -> None:
        self.assertEqual(self.complete("org/first").status, 200)
        with openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="none") as client:
            self.assertEqual(client.models.retrieve("org/first").id, "org/first")

    def test_metrics_of_all_that_are_loaded(self) -> None:
        self.assertEqual(self.complete("second").status, 200)
        text = self.server.get("/metrics").body.decode()
        heads = [line for line in text.splitlines() if line.startswith("# TYPE ")]
        self.assertEqual(len(heads), len(set(heads)))


class BusyTest(unittest.TestCase):
    """What takes long holds up nobody who asks how the server is."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def send(self, body: dict[str, Any]) -> None:
        connection = self.server.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions", json.dumps(body))

    def test_health_beside_long_prompts(self) -> None:
        for _ in range(6):
            self.send({"prompt": "hello " * 1_700_000})
        start = time.monotonic()
        for path in ("/health", "/metrics"):
            self.assertEqual(self.server.get(path).status, 200)
        self.assertLess(time.monotonic() - start, 5)
        answer = self.server.post("/v1/completions", {"prompt": "hello " * 1_700_000})
        self.assertEqual(answer.status, 400)
        self.assertIn("prompt has ", answer.error()["message"])

    def test_bodies_of_many_values(self) -> None:
        body = b'{"prompt": "A", "other": [' + b"0," * 5_000_000 + b"0]}"
        answer = self.server.request("POST", "/v1/completions", body)
        self.assertEqual(answer.status, 400)
        self.assertIn("too many values", answer.error()["message"])

    def test_answers_that_would_be_huge(self) -> None:
        answer = self.server.post(
            "/v1/completions", {"prompt": [9] * 2000, "echo": True, "logprobs": 4096}
        )
        self.assertEqual(answer.status, 400)
        self.assertIn("--max-logprobs", answer.error()["message"])

    def test_more_prompts_than_ever_run(self) -> None:
        answer = self.server.post("/v1/completions", {"prompt": ["A"] * 100_000})
        self.assertEqual((answer.status, answer.error()["param"]), (400, "prompt"))
        self.assertIn("sequences", answer.error()["message"])


if __name__ == "__main__":
    unittest.main()
