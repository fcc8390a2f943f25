"""keel.ray.KeelGenerate on a local cluster of two workers: every row comes once, and its text is
that of the batch runner.

ROWS in the environment: how many prompts (default 10000).
"""

import os
import time
import unittest

import ray

import tests.python.testing as testing
from keel.ray import KeelGenerate
from tests.python.cluster.testing import SAMPLING, batch_answers, check, rows_of_test


class Stage(KeelGenerate):
    """Says which process answered, too."""

    def __call__(self, batch):
        answered = super().__call__(batch)
        return {**answered, "worker": [os.getpid()] * len(answered["text"])}


class RayTest(unittest.TestCase):
    def test_every_row_comes_once_as_from_the_batch_runner(self):
        rows = rows_of_test()
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        self.addCleanup(ray.shutdown)
        expected, batch_seconds = batch_answers(rows)
        begin = time.monotonic()
        dataset = ray.data.from_items(rows, override_num_blocks=16).map_batches(
            Stage,
            fn_constructor_kwargs={"model": testing.MODEL, "sampling": SAMPLING},
            compute=ray.data.ActorPoolStrategy(size=2),
            num_cpus=1,
            batch_size=256,
        )
        found = dataset.take_all()
        seconds = time.monotonic() - begin
        done = check(self, rows, found, expected)
        print(f"{done}: {seconds:.1f} s on two workers, {batch_seconds:.1f} s by keel batch")


if __name__ == "__main__":
    unittest.main()
