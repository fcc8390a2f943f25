"""keel.ray.KeelGenerate on a local cluster of two workers: every row comes once, and its text is
that of the batch runner.

ROWS in the environment: how many prompts (default 10000).
"""

import os
import pathlib
import tempfile
import time
import unittest

import ray

import tests.python.testing as testing
from keel.ray import KeelGenerate
from tests.python.cluster.testing import SAMPLING, batch_answers, prompts


class RayTest(unittest.TestCase):
    def test_every_row_comes_once_as_from_the_batch_runner(self):
        rows = prompts(int(os.environ.get("ROWS", "10000")))
        with tempfile.TemporaryDirectory() as folder:
            begin = time.time()
            expected = batch_answers(rows, pathlib.Path(folder))
            batch_seconds = time.time() - begin
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        self.addCleanup(ray.shutdown)
        begin = time.time()
        dataset = ray.data.from_items(rows, override_num_blocks=16).map_batches(
            KeelGenerate,
            fn_constructor_kwargs={"model": testing.MODEL, "sampling": SAMPLING},
            compute=ray.data.ActorPoolStrategy(size=2),
            num_cpus=1,
            batch_size=256,
        )
        found = dataset.take_all()
        seconds = time.time() - begin
        self.assertEqual(sorted(row["id"] for row in found), list(range(len(rows))))
        self.assertEqual({row["id"]: row["text"] for row in found}, expected)
        self.assertEqual({row["prompt"] for row in found}, {row["prompt"] for row in rows})
        print(
            f"{len(rows)} rows: {seconds:.1f} s on two workers, {batch_seconds:.1f} s by keel batch"
        )


if __name__ == "__main__":
    unittest.main()
