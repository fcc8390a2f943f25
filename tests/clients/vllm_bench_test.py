"""The requests of `vllm bench serve`, word for word, and what it reads of the answers.

Installing vLLM needs gigabytes, so this has the bodies and the reading of its
endpoint_request_func.py instead, for each `--backend` that a text server has.
"""

import json
import unittest
from collections.abc import Iterator
from typing import Any

from tests.clients.demo import BERT, KEY, MODEL, QUESTION, DemoCase
from tests.server.serving import Server


def events(server: Server, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {KEY}", "x-request-id": "bench-0123abcd-0"}
    answer = server.request("POST", path, json.dumps(body), headers)
    assert answer.status == 200, answer.body
    assert "X-Keel-Warning" not in answer.headers, answer.headers
    messages = [message.strip() for message in answer.body.decode().split("\n\n")]
    *data, done, rest = messages
    assert (done, rest) == ("data: [DONE]", "")
    for message in data:
        yield json.loads(message.removeprefix("data: "))


class GenerationTest(DemoCase):
    def read(self, path: str, body: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        texts, usage = [], {}
        for data in events(self.server, path, body):
            if choices := data.get("choices"):
                choice = choices[0]
                text = choice["delta"].get("content") if "delta" in choice else choice["text"]
                texts.append(text or "")
            elif data.get("usage"):
                usage = data["usage"]
        return texts, usage

    def test_openai_completions(self) -> None:
        for prompt in ("A river is", [1, 710, 201, 335]):  # of `--dataset-name random` ids
            body = {
                "model": MODEL,
                "prompt": prompt,
                "repetition_penalty": 1.0,
                "max_tokens": 16,
                "logprobs": None,
                "stream": True,
                "stream_options": {"include_usage": True},
                "ignore_eos": True,
                "temperature": 0.0,
            }
            texts, usage = self.read("/v1/completions", body)
            self.assertGreater(len("".join(texts)), 8)
            self.assertEqual(usage["completion_tokens"], 16)
            self.assertGreater(usage["prompt_tokens"], 0)

    def test_openai_chat(self) -> None:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
            "max_completion_tokens": 16,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
            "temperature": 0.0,
        }
        texts, usage = self.read("/v1/chat/completions", body)
        self.assertGreater(len("".join(texts)), 8)
        self.assertEqual(usage["completion_tokens"], 16)

    def test_it_looks_for_the_model_and_metrics(self) -> None:
        models = self.server.get("/v1/models").json()["data"]
        self.assertEqual((models[0]["id"], models[0]["root"] != ""), (MODEL, True))
        self.assertIn("vllm:", self.server.get("/metrics").body.decode())


class VectorsTest(unittest.TestCase):
    def test_embeddings_pooling_and_rerank(self) -> None:
        long = "What is the sea? " * 200  # more than the model takes
        with Server("--model", str(BERT), "--served-model-name", "tiny") as server:
            for path, fields in (
                ("/v1/embeddings", {"input": "hello"}),
                ("/v1/embeddings", {"input": ["hello", long]}),
                ("/pooling", {"input": long}),
                ("/rerank", {"query": "What is the sea?", "documents": ["Water.", long]}),
            ):
                body = {"model": "tiny", **fields, "truncate_prompt_tokens": -1}
                answer = server.post(path, body)
                self.assertEqual(answer.status, 200, answer.body)
                self.assertGreater(answer.json()["usage"]["prompt_tokens"], 0)
                self.assertNotIn("X-Keel-Warning", answer.headers)


if __name__ == "__main__":
    unittest.main()
