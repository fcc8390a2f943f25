"""Models that answer with vectors, over HTTP and by OpenAI's client, against transformers' numbers.

plugins/bert/testdata/<variant>/texts.json has what transformers makes of a few texts and pairs of
them.
"""

import base64
import json
import math
import pathlib
import re
import struct
import subprocess
import tempfile
import unittest
from typing import Any

import openai
from tests.server import checkpoints
from tests.server.serving import Server

BERT = pathlib.Path("plugins/bert/testdata").absolute()
PAGE = pathlib.Path("docs/embeddings.md")
CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def texts_of(variant: str) -> list[dict[str, Any]]:
    return json.loads((BERT / variant / "texts.json").read_text())


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(unit(a), unit(b)))


class VectorsTest(unittest.TestCase):
    def assertClose(self, found: list[float], expected: list[float], delta: float = 1e-4) -> None:
        self.assertEqual(len(found), len(expected))
        for x, y in zip(found, expected):
            self.assertAlmostEqual(x, y, delta=delta * max(1.0, *map(abs, expected)))


class EmbeddingsTest(VectorsTest):
    """BertModel as it is saved: the first token's hidden states, normalized."""

    server: Server
    client: openai.OpenAI
    singles: list[dict[str, Any]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--model", str(BERT / "default"), "--served-model-name", "tiny")
        cls.addClassCleanup(cls.server.stop)
        cls.client = openai.OpenAI(
            base_url=f"{cls.server.url}/v1", api_key="none", max_retries=0, timeout=60
        )
        cls.addClassCleanup(cls.client.close)
        cls.singles = [t for t in texts_of("default") if t["pair"] is None]

    def test_openais_client_gets_transformers_vectors(self) -> None:
        for encoding in ({}, {"encoding_format": "float"}):  # without: the client asks for base64
            answer = self.client.embeddings.create(
                model="tiny", input=[t["text"] for t in self.singles], **encoding
            )
            self.assertEqual([d.index for d in answer.data], list(range(len(self.singles))))
            for data, golden in zip(answer.data, self.singles):
                self.assertClose(data.embedding, unit(golden["first"]))
            self.assertEqual(answer.usage.prompt_tokens, sum(t["tokens"] for t in self.singles))
            self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens)

    def test_token_ids_and_base64(self) -> None:
        text = self.singles[1]["text"]
        ids = self.server.post("/tokenize", {"prompt": text}).json()["tokens"]
        body = {"input": ids, "encoding_format": "base64", "use_activation": False}
        answer = self.server.post("/v1/embeddings", body).json()
        packed = base64.b64decode(answer["data"][0]["embedding"])
        vector = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        self.assertClose(vector, self.singles[1]["first"])

    def test_pooling_score_and_rerank_go_by_the_same_vectors(self) -> None:
        texts = [t["text"] for t in self.singles]
        pooled = self.server.post("/pooling", {"input": texts[0]}).json()["data"][0]
        self.assertClose(pooled["data"], unit(self.singles[0]["first"]))
        expected = [cosine(self.singles[0]["first"], t["first"]) for t in self.singles]
        scores = self.server.post("/score", {"text_1": texts[0], "text_2": texts}).json()["data"]
        self.assertClose([s["score"] for s in scores], expected)
        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            body = {"query": texts[0], "documents": texts, "model": "tiny"}
            results = self.server.post(path, body).json()["results"]
            order = sorted(range(len(texts)), key=lambda i: -expected[i])
            self.assertEqual([r["index"] for r in results], order)
            self.assertEqual(results[0]["document"], {"text": texts[0]})

    def test_what_it_does_is_said(self) -> None:
        info = self.server.get("/info").json()
        self.assertEqual(info["task"], "embed")
        self.assertEqual(info["pooling"]["type"], "CLS")
        self.assertEqual(info["pooling"]["activation"], "normalize")
        self.assertIn("/v1/embeddings", self.server.first_line)

    def test_what_it_does_not_do_is_a_400_with_words(self) -> None:
        def error(path: str, body: dict[str, Any]) -> str:
            response = self.server.post(path, body)
            self.assertEqual(response.status, 400, response.body)
            return response.error()["message"]

        self.assertIn("generates no text", error("/v1/completions", {"prompt": "hello"}))
        self.assertIn("can embed, not classify", error("/classify", {"input": "hello"}))
        self.assertIn("dimensions is 8", error("/v1/embeddings", {"input": "a", "dimensions": 8}))
        self.assertIn("128 (max_model_len)", error("/v1/embeddings", {"input": "z " * 100}))

    def test_a_long_text_loses_its_end(self) -> None:
        def tokens(body: dict[str, Any]) -> int:
            return self.server.post("/v1/embeddings", body).json()["usage"]["prompt_tokens"]

        words = "the sea " * 200
        self.assertEqual(tokens({"input": words, "truncate_prompt_tokens": -1}), 128)
        self.assertEqual(tokens({"input": words, "truncate_prompt_tokens": 4}), 4)
        whole = self.server.post("/v1/embeddings", {"input": "the sea"})
        most = whole.json()["usage"]["prompt_tokens"]  # with those at its beginning and its end
        cut = self.server.post("/v1/embeddings", {"input": words, "truncate_prompt_tokens": most})
        self.assertClose(
            *(answer.json()["data"][0]["embedding"] for answer in (cut, whole)), delta=1e-6
        )

    def test_the_examples_of_the_page(self) -> None:
        page = PAGE.read_text()
        (snippet,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        snippet = snippet.replace("http://127.0.0.1:8000", self.server.url)
        snippet = snippet.replace("all-MiniLM-L6-v2", "tiny")
        exec(snippet, {})  # pylint: disable=exec-used
        (curl,) = [
            block
            for block in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
            if block.startswith("curl ")
        ]
        done = subprocess.run(
            ["bash", "-c", curl.replace("http://127.0.0.1:8000", self.server.url)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.assertEqual(len(json.loads(done.stdout)["results"]), 1)


class ClassifierTest(VectorsTest):
    def test_labels_and_probabilities(self) -> None:
        singles = [t for t in texts_of("classifier") if t["pair"] is None]
        with Server("--model", str(BERT / "classifier")) as server:
            answer = server.post("/classify", {"input": [t["text"] for t in singles]}).json()
            for data, golden in zip(answer["data"], singles):
                exps = [math.exp(x) for x in golden["first"]]
                self.assertClose(data["probs"], [x / sum(exps) for x in exps])
                best = max(range(3), key=lambda i: exps[i])
                self.assertEqual(data["label"], ["sad", "so-so", "happy"][best])
                self.assertEqual(data["num_classes"], 3)
            refused = server.post("/v1/embeddings", {"input": "hello"})
            self.assertEqual(refused.status, 400)
            self.assertIn("--convert embed", refused.error()["message"])
            refused = server.post("/score", {"text_1": "a", "text_2": "b"})
            self.assertIn("has 3 labels", refused.error()["message"])

    def test_converted_it_embeds(self) -> None:
        with Server("--model", str(BERT / "classifier"), "--convert", "embed") as server:
            data = server.post("/v1/embeddings", {"input": "hello"}).json()["data"][0]
            self.assertEqual(len(data["embedding"]), 48)


class CrossEncoderTest(VectorsTest):
    def test_scores_are_of_pairs_that_are_read_together(self) -> None:
        pairs = [t for t in texts_of("cross_encoder") if t["pair"] is not None]
        expected = [1 / (1 + math.exp(-t["first"][0])) for t in pairs]
        query, documents = pairs[0]["text"], [t["pair"] for t in pairs]
        self.assertEqual({t["text"] for t in pairs}, {query})
        with Server("--model", str(BERT / "cross_encoder")) as server:
            body = {"text_1": query, "text_2": documents}
            answer = server.post("/score", body).json()
            self.assertClose([d["score"] for d in answer["data"]], expected)
            self.assertEqual(answer["usage"]["prompt_tokens"], sum(t["tokens"] for t in pairs))
            body["use_activation"] = False
            answer = server.post("/v1/score", body).json()
            self.assertClose([d["score"] for d in answer["data"]], [t["first"][0] for t in pairs])
            body = {"query": query, "documents": documents, "top_n": 1}
            (result,) = server.post("/rerank", body).json()["results"]
            self.assertEqual(result["index"], expected.index(max(expected)))
            self.assertClose([result["relevance_score"]], [max(expected)])


class SentenceTransformersTest(VectorsTest):
    def test_its_files_are_heeded(self) -> None:
        golden = texts_of("default")[1]
        with tempfile.TemporaryDirectory() as directory:
            model = pathlib.Path(directory)
            for name in CHECKPOINT:
                (model / name).write_bytes((BERT / "default" / name).read_bytes())
            (model / "modules.json").write_text(json.dumps(MODULES))
            (model / "1_Pooling").mkdir()
            pooling = {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 48}
            (model / "1_Pooling/config.json").write_text(json.dumps(pooling))
            with Server("--model", directory) as server:
                data = server.post("/v1/embeddings", {"input": golden["text"]}).json()["data"]
                self.assertClose(data[0]["embedding"], golden["mean"])


class CausalModelTest(VectorsTest):
    def test_it_embeds_when_it_is_told_to(self) -> None:
        flags = ("--model", str(checkpoints.LLAMA), "--max-num-batched-tokens", "8")
        with Server(*flags) as server:
            refused = server.post("/v1/embeddings", {"input": "hello"})
            self.assertEqual(refused.status, 400)
            self.assertIn("--runner pooling", refused.error()["message"])
        text = "What is the sea? hello, the user!"
        body = {"input": [text, text + " More.", text]}
        with Server(*flags, "--runner", "pooling") as server:
            first, other, again = (
                d["embedding"] for d in server.post("/v1/embeddings", body).json()["data"]
            )
            self.assertAlmostEqual(sum(x * x for x in first), 1, places=5)
            self.assertClose(first, again)
            self.assertLess(cosine(first, other), 0.9999)
        # In one step as in several.
        with Server(*flags[:2], "--runner", "pooling") as server:
            whole = server.post("/v1/embeddings", {"input": text}).json()["data"][0]["embedding"]
            self.assertClose(first, whole)
        # All its tokens must be in one step.
        mean = ("--runner", "pooling", "--pooler-config", '{"pooling_type": "MEAN"}')
        with Server(*flags, *mean) as server:
            refused = server.post("/v1/embeddings", {"input": text})
            self.assertEqual(refused.status, 400)
            self.assertIn("--max-num-batched-tokens", refused.error()["message"])


if __name__ == "__main__":
    unittest.main()
