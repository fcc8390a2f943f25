"""keel-validate finds what attention, kernels and processors of a plugin's own break, and nothing
else."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

PROGRAM = os.path.abspath("apps/validate/validate")

CONFIG = {
    "architectures": ["CallsForCausalLM"],
    "model_type": "calls",
    "hidden_size": 16,
    "vocab_size": 32,
}

# What tests/plugins/<source>.c breaks with each macro.
ATTENDS = {
    "NOT": None,
    "REFUSES_WITHOUT_A_REASON": 130,
    "FORGETS_THE_SCALE": 131,
    "READS_WHOLE_BLOCKS": 132,
    "ASSUMES_CONTIGUOUS": 133,
    "WRITES_PAST_ITS_WORKSPACE": 134,
    "ROUNDS_BY_THE_STEP": 135,
}
CALLS = {
    "NOT": None,
    "INFERS_OTHERWISE": 140,
    "WRITES_PAST_ITS_WORKSPACE": 141,
    "DIVIDES_BY_ROWS": 142,
    "IGNORES_OFFSETS": 143,
    "MIXES_ROWS": 144,
    "COUNTS_ITS_CALLS": 145,
    "WRITES_OTHERS_STATES": 146,
}
COUNTS = {
    "NOT": None,
    "COUNTS_TOO_FEW": 150,
    "CUTS_ITS_TOKENS": 150,
    "PREPROCESSES_TOO_MANY": 151,
    "FORGETS_THE_SECOND": 152,
    "HAS_A_SCRATCH": 153,
    "TAKES_ANY_PLACEHOLDER": 154,
    "CRASHES_ON_ONE_PIXEL": 155,
}


class OwnClassesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        with open(os.path.join(cls.dir, "config.json"), "w", encoding="utf-8") as file:
            json.dump(CONFIG, file)

    def broken(self, source, macro, *args):
        """What does not pass: (requirement, outcome)."""
        library = os.path.abspath(f"tests/plugins/lib{source}_{macro.lower()}.so")
        command = [PROGRAM, library, "--config", self.dir, "--json", "-", "--jobs", "1", *args]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn(run.returncode, (0, 1), run.stderr)
        results = json.loads(run.stdout)["results"]
        return [r for r in results if r["outcome"] in ("fail", "crash", "warn")]

    def check(self, source, breaks, groups):
        def broken(macro):
            # One that keeps all is asked all of it.
            return self.broken(source, macro, *(["--group", groups] if breaks[macro] else []))

        with ThreadPoolExecutor(2) as pool:
            for macro, results in zip(breaks, pool.map(broken, breaks)):
                with self.subTest(macro):
                    expected = [f"KEEL-PLG-{breaks[macro]:03}"] if breaks[macro] else []
                    self.assertEqual([r["id"] for r in results], expected, results)

    def test_attention(self):
        self.check("attends", ATTENDS, "LA")

    def test_kernels(self):
        self.check("calls", CALLS, "VRXK")

    def test_processors(self):
        self.check("counts", COUNTS, "LP")

    def test_an_attention_needs_no_config(self):
        library = os.path.abspath("tests/plugins/libattends_forgets_the_scale.so")
        run = subprocess.run([PROGRAM, library, "--group", "A"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stdout, r"(?m)^fail +KEEL-PLG-131")
        self.assertIn("4 heads of 2, keys of 16", run.stdout)


if __name__ == "__main__":
    unittest.main()
