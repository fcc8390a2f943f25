"""The stages for Ray and Spark without those: what they do to a batch."""

import pickle
import unittest

import tests.python.testing as testing

from keel.ray import KeelGenerate
from keel.spark import generate

SAMPLING = {"temperature": 0, "max_tokens": 48}


class Frame(dict):
    """As much of a pandas.DataFrame as the stage uses."""

    def assign(self, **columns):
        return Frame(self, **columns)


class RowsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.goldens = testing.goldens(4)
        cls.texts = [golden["text"] for golden in cls.goldens]
        cls.ids = [golden["prompt_token_ids"] for golden in cls.goldens]

    def test_ray_adds_columns_to_a_batch(self):
        stage = KeelGenerate(testing.MODEL, SAMPLING)
        batch = {"id": [7, 8, 9, 10], "prompt": self.ids}
        found = stage(batch)
        self.assertEqual(found["id"], batch["id"])
        self.assertEqual(found["text"], self.texts)
        self.assertEqual(found["finish_reason"], ["stop"] * 4)
        tokens = [len(golden["token_ids"]) for golden in self.goldens]
        self.assertEqual(found["num_generated_tokens"], tokens)
        self.assertEqual(stage({"prompt": []})["text"], [])

    def test_a_column_of_messages_is_answered(self):
        stage = KeelGenerate(testing.MODEL, SAMPLING, column="messages")
        batch = {"messages": [golden["messages"] for golden in self.goldens]}
        self.assertEqual(stage(batch)["text"], self.texts)

    def test_spark_adds_them_to_each_frame_with_one_engine(self):
        run = generate(testing.MODEL, SAMPLING, column="ids", max_num_seqs=3)
        frames = [Frame(ids=self.ids[:2]), Frame(ids=self.ids[2:]), Frame(ids=[])]
        found = list(run(iter(frames)))
        self.assertEqual([frame["text"] for frame in found], [self.texts[:2], self.texts[2:], []])
        from keel import spark

        self.assertEqual(spark.llm_of_worker.cache_info().misses, 1)
        again = generate(testing.MODEL, {"max_tokens": 1}, column="ids", max_num_seqs=3)
        self.assertEqual(len(next(again(iter(frames)))["text"]), 2)
        self.assertEqual(spark.llm_of_worker.cache_info().misses, 1)

    def test_a_stage_of_ray_is_sent_by_its_name(self):
        self.assertIs(pickle.loads(pickle.dumps(KeelGenerate)), KeelGenerate)


if __name__ == "__main__":
    unittest.main()
