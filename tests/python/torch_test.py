"""The wheel beside Python's own torch, whichever of the two a program imports first, and the export
that model_impl="transformers" starts."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import transformers_env  # noqa: F401, puts torch and transformers on the path

ROOT = pathlib.Path.cwd()
MODEL = ROOT / "apps/demo/model"
(WHEEL,) = (ROOT / "sdk/python").glob("*.whl")

BOTH = """
import sys

def mapped(name):
    with open("/proc/self/maps") as file:
        return {line.split()[-1] for line in file if name in line}

if sys.argv[1] == "before":
    import torch
from keel import LLM, SamplingParams
llm = LLM(sys.argv[2])
import torch
assert torch.ones(8, 8).matmul(torch.ones(8, 8)).sum() == 512
text = llm.generate("A river is", SamplingParams(temperature=0), use_tqdm=False)[0].outputs[0].text
assert len(mapped("libtorch_cpu.so")) == 1, mapped("libtorch_cpu.so")
assert len(mapped("libgomp")) == 1, mapped("libgomp")
print(text)
"""

EXPORTED = """
import sys
from keel import LLM, SamplingParams
greedy = SamplingParams(temperature=0)
for impl in ("native", "transformers", "transformers"):
    with LLM(sys.argv[1], model_impl=impl) as llm:
        print(llm.info["model_impl"], llm.generate("A river is", greedy)[0].outputs[0].text)
"""


class TorchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory()
        cls.addClassCleanup(work.cleanup)
        cls.work = pathlib.Path(work.name)
        site = cls.work / "site-packages"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        pip += ["--no-deps", "--no-index", "--target", site, WHEEL]
        subprocess.run(pip, check=True)
        places = [str(site), *(path for path in sys.path if os.path.isabs(path))]
        cls.environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(places),
            "HOME": str(cls.work),
            "OMP_NUM_THREADS": "1",
        }

    def run_program(self, program, *arguments):
        run = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=self.environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_one_libtorch_whichever_comes_first(self):
        before = self.run_program(BOTH, "before", str(MODEL))
        after = self.run_program(BOTH, "after", str(MODEL))
        self.assertEqual(before, after)
        self.assertEqual(before.strip(), "a large natural stream of water.")

    def test_a_model_without_a_graph_is_exported_once(self):
        model = self.work / "model"
        shutil.copytree(MODEL, model)
        native, first, second = self.run_program(EXPORTED, str(model)).splitlines()
        self.assertEqual(native.split(" ", 1)[0], "native")
        self.assertEqual(first, native.replace("native", "graph", 1))
        self.assertEqual(second, first)
        self.assertEqual(len(list((self.work / ".cache/keel/graphs").iterdir())), 1)
        self.assertFalse((model / "keel-graph.pb").exists())


if __name__ == "__main__":
    unittest.main()
