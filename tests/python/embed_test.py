"""Vectors of prompts: LLM.embed and Engine.encode, with the demo model as an embedding model."""

import math
import unittest

import tests.python.testing as testing

from keel import LLM, Engine, NotServed, SamplingParams


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


if __name__ == "__main__":
    unittest.main()
