"""Vectors of prompts and scores of pairs: LLM.embed and Engine.encode, with the demo model as an
embedding model; LLM.score against transformers' numbers, with tiny BERTs.

plugins/bert/testdata/<variant>/texts.json has what transformers makes of texts and pairs of them.
"""

import json
import math
import unittest

import tests.python.testing as testing

from keel import LLM, Engine, InvalidArgument, NotServed, PoolingParams, SamplingParams

BERT = testing.ROOT / "plugins/bert/testdata"


def texts_of(variant: str) -> list[dict]:
    return json.loads((BERT / variant / "texts.json").read_text(encoding="utf-8"))


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


class EmbedTest(unittest.TestCase):
    def test_embeddings_come_in_order_and_are_normalized(self):
        prompts = ["A river", "A lake", "To abandon", "A river"]
        with LLM(testing.MODEL, runner="pooling", convert="embed") as llm:
            self.assertEqual(llm.info["task"], "embed")
            results = llm.embed(prompts, use_tqdm=False)
            vectors = [result.outputs.embedding for result in results]
            self.assertLess(math.dist(vectors[0], vectors[3]), 1e-4)
            self.assertGreater(math.dist(vectors[0], vectors[1]), 1e-2)
            for result, prompt in zip(results, prompts):
                self.assertEqual(result.outputs.hidden_size, llm.info["pooling"]["size"])
                self.assertEqual(result.prompt_token_ids, llm.get_tokenizer().encode(prompt))
                self.assertAlmostEqual(math.hypot(*result.outputs.embedding), 1, places=4)
            (alone,) = llm.embed("A lake", use_tqdm=False)
            self.assertLess(math.dist(alone.outputs.embedding, vectors[1]), 1e-4)
            with self.assertRaises(Exception) as caught:
                llm.classify(["A river"], use_tqdm=False)
            self.assertIn("classify", str(caught.exception))
        with Engine(testing.MODEL, runner="pooling", convert="embed") as engine:
            found = engine.encode(prompts)
            for result, vector in zip(found, vectors):
                self.assertLess(math.dist(result["embedding"], vector), 1e-4)
            self.assertEqual(len(engine.encode("A river")["embedding"]), len(vectors[0]))

    def test_a_model_that_generates_says_so(self):
        with LLM(testing.MODEL) as llm:
            with self.assertRaises((NotServed, ValueError, RuntimeError)) as caught:
                llm.embed(["A river"], use_tqdm=False)
            self.assertIn("embed", str(caught.exception))
            # And it generates on.
            params = SamplingParams(max_tokens=1)
            self.assertEqual(len(llm.generate(["A river"], params, use_tqdm=False)), 1)


class ScoreTest(unittest.TestCase):
    def assert_scores(self, results, expected):
        self.assertEqual(len(results), len(expected))
        for result, score in zip(results, expected):
            self.assertAlmostEqual(result.outputs.score, score, delta=1e-4 * max(1, abs(score)))

    def test_a_cross_encoder_reads_query_and_document_together(self):
        pairs = [text for text in texts_of("cross_encoder") if text["pair"] is not None]
        query, documents = pairs[0]["text"], [pair["pair"] for pair in pairs]
        self.assertEqual({pair["text"] for pair in pairs}, {query})
        logits = [pair["first"][0] for pair in pairs]
        scores = [1 / (1 + math.exp(-logit)) for logit in logits]
        self.assertGreater(max(scores) - min(scores), 1e-2)
        with LLM(str(BERT / "cross_encoder")) as llm:
            results = llm.score(query, documents, use_tqdm=False)
            self.assert_scores(results, scores)
            tokens = [len(result.prompt_token_ids) for result in results]
            self.assertEqual(tokens, [pair["tokens"] for pair in pairs])
            one_each = llm.score([query] * len(documents), documents[::-1], use_tqdm=False)
            self.assert_scores(one_each, scores[::-1])
            self.assert_scores(llm.score(query, documents[0], use_tqdm=False), scores[:1])
            raw = PoolingParams(use_activation=False)
            found = llm.score(query, documents, pooling_params=raw, use_tqdm=False)
            self.assert_scores(found, logits)
            self.assertEqual(llm.score(query, [], use_tqdm=False), [])

    def test_of_an_embedding_model_it_is_the_cosine(self):
        texts = [text for text in texts_of("default") if text["pair"] is None]
        vectors = [text["first"] for text in texts]
        query, documents = texts[0]["text"], [text["text"] for text in texts]
        with LLM(str(BERT / "default")) as llm:
            results = llm.score(query, documents, use_tqdm=False)
            self.assert_scores(results, [cosine(vectors[0], vector) for vector in vectors])
            encode = llm.get_tokenizer().encode
            for result, document in zip(results, documents):
                self.assertEqual(result.prompt_token_ids, encode(query) + encode(document))
            one_each = llm.score(documents, documents[::-1], use_tqdm=False)
            expected = [cosine(a, b) for a, b in zip(vectors, vectors[::-1])]
            self.assert_scores(one_each, expected)

    def test_what_gives_no_score_says_why(self):
        with LLM(str(BERT / "classifier")) as llm:
            with self.assertRaisesRegex(NotServed, "3 labels.*use classify"):
                llm.score("a", ["b"], use_tqdm=False)
        with LLM(str(BERT / "cross_encoder")) as llm:
            with self.assertRaisesRegex(InvalidArgument, "2 texts and documents 3") as caught:
                llm.score(["a", "b"], ["c", "d", "e"], use_tqdm=False)
            self.assertEqual(caught.exception.field, "queries")
            with self.assertRaisesRegex(InvalidArgument, r"documents\[1\] is \[5, 6\]") as caught:
                llm.score("a", ["b", [5, 6]], use_tqdm=False)
            self.assertEqual(caught.exception.field, "documents")
        with LLM(testing.MODEL) as llm:
            with self.assertRaisesRegex((NotServed, ValueError), "embed"):
                llm.score("a", ["b"], use_tqdm=False)


if __name__ == "__main__":
    unittest.main()
