"""Engines and processes: fork is refused with words, spawn works, and a program ends cleanly."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import unittest

import tests.python.testing as testing

from keel import LLM, ForkError, SamplingParams


def answer(model: str) -> str:
    """The first words of an answer."""
    with LLM(model) as llm:
        params = SamplingParams(temperature=0, max_tokens=4)
        return llm.generate(["A river is"], params, use_tqdm=False)[0].outputs[0].text


def kinds(llm: LLM, model: str) -> str:
    """What the use of an engine and the making of one raise."""
    words = []
    for use in (lambda: llm.generate(["hi"], use_tqdm=False), lambda: LLM(model), llm.shutdown):
        try:
            use()
            words.append("nothing")
        except ForkError as error:
            words.append(str(error))
    return "\n".join(words)


def in_child(function, *arguments) -> str:
    """What a function gives in a child that fork() made."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            out.write(function(*arguments))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


class ProcessTest(unittest.TestCase):
    def test_an_engine_is_refused_in_a_fork(self):
        with LLM(testing.MODEL) as llm:
            used, made, closed = in_child(kinds, llm, testing.MODEL).split("\n")
            self.assertIn(f"made in process {os.getpid()}", used)
            self.assertIn("spawn", used)
            self.assertIn("spawn", made)
            self.assertEqual(closed, "nothing")
            # And it goes on here.
            self.assertEqual(len(llm.generate(["hi"], use_tqdm=False)), 1)

    def test_a_spawned_child_has_an_engine_of_its_own(self):
        with LLM(testing.MODEL) as llm:
            params = SamplingParams(temperature=0, max_tokens=4)
            here = llm.generate(["A river is"], params, use_tqdm=False)[0].outputs[0].text
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                self.assertEqual(pool.apply(answer, (testing.MODEL,)), here)

    def run_program(self, text: str) -> str:
        program = textwrap.dedent(text)
        environment = {**os.environ, "MODEL": testing.MODEL}
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)
        return run.stdout

    def test_a_fork_before_any_engine_is_fine(self):
        out = self.run_program("""
            import os
            import keel
            keel.LLM  # the library is loaded
            child = os.fork()
            llm = keel.LLM(os.environ["MODEL"])
            print(len(llm.generate(["hi"], use_tqdm=False)), flush=True)
            if child:
                os.waitpid(child, 0)
            """)
        self.assertEqual(out, "1\n1\n")

    def test_a_program_ends_with_requests_under_way(self):
        out = self.run_program("""
            import os
            import keel
            engine = keel.Engine(os.environ["MODEL"])
            params = {"max_new_tokens": 400, "ignore_eos": True}
            stream = engine.generate("Define:", params, stream=True)
            next(stream)
            print("done")
            """)
        self.assertEqual(out, "done\n")

    def test_an_engine_that_nobody_holds_is_freed(self):
        out = self.run_program("""
            import gc
            import os
            import threading
            import time
            import keel
            llm = keel.LLM(os.environ["MODEL"])
            llm.generate(["hi"], use_tqdm=False)
            descriptors = len(os.listdir("/proc/self/fd"))
            del llm
            gc.collect()
            for _ in range(500):  # its thread may be at work still
                if threading.active_count() > 1:
                    time.sleep(0.01)
            print(threading.active_count(), descriptors > len(os.listdir("/proc/self/fd")))
            """)
        self.assertEqual(out, "1 True\n")

    def test_types_need_no_library(self):
        out = self.run_program("""
            import os
            os.environ["KEEL_LIBRARY"] = "/no/library"
            import keel
            from keel import SamplingParams
            print(SamplingParams().max_tokens, "LLM" in dir(keel))
            """)
        self.assertEqual(out, "16 True\n")


if __name__ == "__main__":
    unittest.main()
