"""keel-validate finds what each misbehaving plugin breaks and nothing else, and says so as
promised."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

PROGRAM = os.path.abspath("apps/validate/validate")
LLAMA = os.path.abspath("plugins/llama/libllama.so")
LLAMA_MODEL = os.path.abspath("plugins/llama/testdata/default")

CONFIG = {
    "architectures": ["MisbehavesForCausalLM"],
    "model_type": "misbehaves",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "vocab_size": 32,
}

# What tests/plugins/misbehaves.c breaks with each macro.
BREAKS = {
    "NOT": None,
    "TWO_DESCRIPTORS": 31,
    "KNOWS_EVERY_ID": 40,
    "LEAKS_PLUGINS": 41,
    "CRASHES_WITHOUT_AN_INTERFACE": 42,
    "HANDLES_SIGNALS": 43,
    "LEAVES_FILES_OPEN": 44,
    "TAKES_A_NAME": 46,
    "CALLS_PAST_A_TABLE": 50,
    "CALLS_A_NULL_ENTRY": 52,
    "WANTS_EXACT_TABLES": 51,
    "REFUSES_ITS_CONFIG": 60,
    "SPEC_CHANGES": 61,
    "CRASHES_WITHOUT_A_KEY": 62,
    "CRASHES_ON_A_LONG_TEXT": 63,
    "CRASHES_ON_TWO_CHANGES": 64,
    "REFUSES_WITHOUT_A_WORD": 65,
    "DECLARES_TWICE": 70,
    "CREATE_CHANGES": 71,
    "FORWARD_FAILS": 80,
    "ASKS_FOR_TOKENS": 81,
    "DROPS_A_VALUE": 82,
    "MIXES_ROWS": 83,
    "FORWARD_CHANGES": 84,
    "DEPENDS_ON_THE_PROCESS": 85,
    "WRONG_PLAN": 86,
    "WRONG_PIPELINE": 88,
    "CRASHES_AFTER_A_FAILED_OP": 110,
    "LEAKS_MODELS": 111,
    "EAGER_DIFFERS": 120,
}


def groups_of(macro):
    """What is looked at: all, but for speed no loading of those that load, nor computing of
    most."""
    if macro in ("NOT", "EAGER_DIFFERS"):
        return []
    return ["--group", "SLVCBRX" if BREAKS[macro] < 50 else "VCBRX"]


def validate(*args):
    return subprocess.run(
        [PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def plugin(macro):
    return os.path.abspath(f"tests/plugins/libmisbehaves_{macro.lower()}.so")


class ValidateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        with open(os.path.join(cls.dir, "config.json"), "w", encoding="utf-8") as file:
            json.dump(CONFIG, file)

    def report(self, macro, *args):
        run = validate(plugin(macro), "--config", self.dir, "--json", "-", *args)
        self.assertIn(run.returncode, (0, 1), run.stderr)
        return run, json.loads(run.stdout)

    def test_each_misbehaving_plugin_breaks_its_requirement_and_no_other(self):
        def broken(macro):
            run, report = self.report(macro, *groups_of(macro), "--jobs", "1")
            return run, [r for r in report["results"] if r["outcome"] in ("fail", "crash", "warn")]

        with ThreadPoolExecutor(2) as pool:
            for macro, (run, results) in zip(BREAKS, pool.map(broken, BREAKS)):
                with self.subTest(macro):
                    expected = [] if BREAKS[macro] is None else [f"KEEL-PLG-{BREAKS[macro]:03}"]
                    self.assertEqual([r["id"] for r in results], expected, results)
                    must_fail = any(r["level"] == "MUST" for r in results)
                    self.assertEqual(run.returncode, 1 if must_fail else 0)

    def test_a_family_keeps_every_requirement_and_none_is_skipped(self):
        run = validate(LLAMA, "--config", LLAMA_MODEL)
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertNotRegex(run.stdout, r"(?m)^(skip|warn|fail|crash)")
        self.assertIn("libllama.so keeps its contract", run.stdout)

    def test_a_crash_says_what_was_tried(self):
        run, report = self.report("CRASHES_WITHOUT_A_KEY", "--group", "c")
        crashes = [r["message"] for r in report["results"] if r["outcome"] == "crash"]
        self.assertEqual(crashes, ["SIGSEGV at: without intermediate_size"])
        self.assertIn("consequence: a checkpoint ends the server that opens it", run.stderr)

    def test_a_failure_of_the_fuzz_comes_again_with_its_seed(self):
        found = set()
        for _ in range(2):
            _, report = self.report("CRASHES_ON_TWO_CHANGES", "--group", "C", "--seed", "7")
            found.add(next(r["message"] for r in report["results"] if r["outcome"] == "crash"))
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found.pop(), r"SIGSEGV at: seed 7, round \d+: ")

    def test_a_waived_requirement_does_not_fail_and_is_printed(self):
        waivers = os.path.join(self.dir, "waivers")
        with open(waivers, "w", encoding="utf-8") as file:
            file.write("# known\nKEEL-PLG-110 mended in the next release\n")
        args = ("--config", self.dir, "--group", "X", "--waive", waivers)
        run = validate(plugin("CRASHES_AFTER_A_FAILED_OP"), *args)
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn("waived: mended in the next release", run.stdout)
        with open(waivers, "w", encoding="utf-8") as file:
            file.write("KEEL-PLG-999 whatever\n")
        run = validate(plugin("CRASHES_AFTER_A_FAILED_OP"), *args)
        self.assertEqual(run.returncode, 2)
        self.assertIn("waivers:1: 'KEEL-PLG-999' is no requirement", run.stderr)

    def test_a_tensor_that_the_checkpoint_lacks_is_found(self):
        copy = os.path.join(self.dir, "model")
        shutil.copytree(LLAMA_MODEL, copy)
        path = os.path.join(copy, "config.json")
        os.chmod(path, 0o600)
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        config["attention_bias"] = True  # so q_proj.bias is declared, and is not there
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        run = validate(LLAMA, "--config", copy, "--group", "B")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^fail +KEEL-PLG-072")
        self.assertIn("q_proj.bias", run.stdout)

    def test_junit_has_a_case_for_each_requirement(self):
        path = os.path.join(self.dir, "junit.xml")
        run = validate(
            plugin("LEAKS_MODELS"), "--config", self.dir, "--group", "XL", "--junit", path
        )
        self.assertEqual(run.returncode, 1, run.stdout)
        suite = ElementTree.parse(path).getroot()
        self.assertEqual(suite.tag, "testsuite")
        self.assertEqual(suite.get("failures"), "1")
        self.assertEqual(len(suite.findall("testcase")), int(suite.get("tests")))
        failed = [case.get("name") for case in suite if case.find("failure") is not None]
        self.assertEqual([name.split()[0] for name in failed], ["KEEL-PLG-111"])

    def test_without_a_config_models_are_not_looked_at(self):
        run = validate(plugin("MIXES_ROWS"))
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^skip +KEEL-PLG-083 .*\n +no --config was given")

    def test_in_process_finds_the_same(self):
        run = validate(plugin("MIXES_ROWS"), "--config", self.dir, "--group", "R", "--in-process")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^fail +KEEL-PLG-083")

    def test_wrong_flags_are_named(self):
        for args, word in (
            ((), "PLUGIN"),
            (("no.so",), "no.so"),
            ((LLAMA, "--group", "Q"), "there is no group 'Q'"),
            ((LLAMA, "--config", "/nowhere"), "/nowhere"),
        ):
            run = validate(*args)
            self.assertEqual(run.returncode, 2, args)
            self.assertIn(word, run.stderr)

    def test_the_list_has_every_requirement(self):
        run = validate("--list")
        self.assertEqual(run.returncode, 0)
        self.assertGreater(len(re.findall(r"KEEL-PLG-\d{3}  (?:MUST|SHOULD)", run.stdout)), 50)


if __name__ == "__main__":
    unittest.main()
