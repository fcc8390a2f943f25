"""keel.spark.generate on a local cluster of two workers: every row comes once, and its text is that
of the batch runner.

ROWS in the environment: how many prompts (default 1000).
"""

import os
import pathlib
import tempfile
import unittest

from pyspark.sql import SparkSession

import tests.python.testing as testing
from keel.spark import generate, schema
from tests.python.cluster.testing import SAMPLING, batch_answers, prompts


class SparkTest(unittest.TestCase):
    def test_every_row_comes_once_as_from_the_batch_runner(self):
        rows = prompts(int(os.environ.get("ROWS", "1000")))
        with tempfile.TemporaryDirectory() as folder:
            expected = batch_answers(rows, pathlib.Path(folder))
        # Two executors of one core each, each with its Python worker.
        session = SparkSession.builder.master("local-cluster[2,1,1024]").getOrCreate()
        self.addCleanup(session.stop)
        frame = session.createDataFrame(rows, "id int, prompt string").repartition(8)
        answered = frame.mapInPandas(generate(testing.MODEL, SAMPLING), schema(frame.schema))
        found = answered.collect()
        self.assertEqual(sorted(row["id"] for row in found), list(range(len(rows))))
        self.assertEqual({row["id"]: row["text"] for row in found}, expected)


if __name__ == "__main__":
    unittest.main()
