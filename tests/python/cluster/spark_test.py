"""keel.spark.generate on a local cluster of two workers: every row comes once, and its text is that
of the batch runner.

ROWS in the environment: how many prompts (default 10000).
"""

import os
import time
import unittest

from pyspark.sql import SparkSession

import tests.python.testing as testing
from keel.spark import generate, schema
from tests.python.cluster.testing import SAMPLING, batch_answers, check, rows_of_test


class SparkTest(unittest.TestCase):
    def test_every_row_comes_once_as_from_the_batch_runner(self):
        rows = rows_of_test()
        expected, batch_seconds = batch_answers(rows)
        # Two executors of one core each, each with its Python worker.
        session = SparkSession.builder.master("local-cluster[2,1,1024]").getOrCreate()
        self.addCleanup(session.stop)
        answer = generate(testing.MODEL, SAMPLING)

        def stage(frames):
            """Says which process answered, too."""
            for frame in answer(frames):
                yield frame.assign(worker=os.getpid())

        begin = time.monotonic()
        frame = session.createDataFrame(rows, "id int, prompt string").repartition(8)
        answered = frame.mapInPandas(stage, schema(frame.schema).add("worker", "integer"))
        found = answered.collect()
        seconds = time.monotonic() - begin
        done = check(self, rows, found, expected)
        print(f"{done}: {seconds:.1f} s on two workers, {batch_seconds:.1f} s by keel batch")


if __name__ == "__main__":
    unittest.main()
