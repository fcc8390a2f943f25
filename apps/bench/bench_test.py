"""The program on the demo model: each scenario's report, and the commands of the pages."""

import json
import pathlib
import re
import shlex
import signal
import subprocess
import time
import unittest

PROGRAM = pathlib.Path("apps/bench/bench").absolute()
PAGES = (pathlib.Path("README.md"), *sorted(pathlib.Path("docs").glob("*.md")))
FEW_BLOCKS = ("--kv-cache-memory-bytes", "64MiB")


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *flags], capture_output=True, text=True, timeout=60)


def report(*flags: str) -> dict:
    """What --json printed, which must be all there is on standard output."""
    done = run(*flags, "--json", *FEW_BLOCKS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class ScenariosTest(unittest.TestCase):
    def check_summary(self, summary: dict, count: int) -> None:
        self.assertEqual(summary["count"], count)
        values = [summary[key] for key in ("p50", "p90", "p99", "max")]
        self.assertGreater(values[0], 0)
        self.assertEqual(values, sorted(values))

    def test_speed(self) -> None:
        sizes = ("--batch", "2", "--prompt-tokens", "16", "--new-tokens", "96")
        found = report(*sizes, "--repeats", "1")
        self.assertEqual(found["scenario"], "speed")
        self.assertEqual((found["prompt_tokens"], found["new_tokens"]), (16, 96))
        (row,) = found["results"]
        self.assertEqual(row["batch"], 2)
        self.assertGreater(row["decode"]["median"], 0)
        self.assertGreater(row["machine"]["read_gb_per_second"], 0)
        rate = row["prefill_gflop_per_second"] / row["prefill"]["median"]
        self.assertAlmostEqual(rate, 2e-9 * self.weights_a_prompt_token(16), delta=0.01 * rate)
        self.assertLess(rate, row["machine"]["peak_gflop_per_second"])

    def weights_a_prompt_token(self, prompt_tokens: int) -> float:
        config = json.loads(pathlib.Path("apps/demo/model/config.json").read_text())
        hidden, mlp = config["hidden_size"], config["intermediate_size"]
        queries = config["num_attention_heads"] * config["head_dim"]
        keys = config["num_key_value_heads"] * config["head_dim"]
        layer = hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * mlp
        head = hidden * config["vocab_size"] / prompt_tokens
        return layer * config["num_hidden_layers"] + head

    def test_kernels(self) -> None:
        flags = ("--shape", "smollm2-135m", "--rows", "1,3", "--repeats", "1")
        done = run("kernels", *flags, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rates = json.loads(done.stdout)["results"]
        parts = [(rate["quantization"], rate["rows"], rate["part"]) for rate in rates]
        self.assertEqual(
            parts[:3], [("none", 1, "layers"), ("none", 1, "head"), ("none", 3, "layers")]
        )
        self.assertEqual(len(parts), 4 * 2 * 2)
        for rate in rates:
            self.assertGreater(rate["gb_per_second"], 0)
            self.assertGreater(rate["peak_gflop_per_second"], 0)
        done = run("kernels", *flags, "--rows", "2", "--quantize", "int8")
        self.assertRegex(done.stdout, r"(?m)^int8 +head +2 +[0-9.]+ ")
        self.assertNotIn("int4", done.stdout)

    def test_throughput(self) -> None:
        sizes = ("--prompt-tokens", "8-16", "--new-tokens", "4", "--requests", "5")
        found = report("throughput", "--concurrency", "3", *sizes, "--metrics")
        self.assertEqual([row["concurrency"] for row in found["results"]], [1, 3])
        self.assertEqual(found["results"][0]["speedup"], 1)
        for row in found["results"]:
            self.assertEqual((row["requests"], row["output_tokens"]), (5, 20))
            self.check_summary(row["ttft_ms"], 5)
            self.check_summary(row["e2e_ms"], 5)
        metrics = found["metrics"]
        self.assertEqual(metrics["vllm:generation_tokens_total"], 40)
        self.assertEqual(metrics["vllm:time_to_first_token_seconds_count"], 10)
        prompts = sum(row["prompt_tokens"] for row in found["results"])
        self.assertEqual(metrics["vllm:prompt_tokens_total"], prompts)
        self.assertNotIn("vllm:prefix_cache_hits_total", metrics)

    def test_interference(self) -> None:
        sizes = ("--streams", "3", "--prompt-tokens", "8", "--new-tokens", "8")
        found = report("interference", *sizes, "--long-tokens", "256", "--repeats", "2")
        for phase in ("before", "during", "after"):
            self.assertGreater(found["phases"][phase]["itl_ms"]["p50"], 0, phase)
        self.check_summary(found["long_ttft_ms"], 2)
        self.check_summary(found["long_ttft_alone_ms"], 2)

    def test_prefix(self) -> None:
        found = report("prefix", "--prefix-tokens", "512", "--repeats", "2")["results"]
        cached = {name: part["cached_tokens"] for name, part in found.items()}
        self.assertEqual(cached, {"first": 0, "second": 512, "other_salt": 0})
        for part in found.values():
            self.check_summary(part["ttft_ms"], 2)

    def test_a_table_is_for_people(self) -> None:
        sizes = ("--concurrency", "1", "--prompt-tokens", "8", "--new-tokens", "2")
        done = run("throughput", *sizes, "--metrics", *FEW_BLOCKS)
        self.assertRegex(done.stdout, r"(?m)^ +1 +8 +[0-9.]+ +1\.00x")
        self.assertRegex(done.stdout, r"vllm:generation_tokens_total +16\n")

    def test_ctrl_c_ends_with_what_was_measured(self) -> None:
        command = [PROGRAM, "throughput", "--json", "--concurrency", "1", "--prompt-tokens", "4"]
        command += ["--new-tokens", "8", "--requests", "4000", *FEW_BLOCKS]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as bench:
            for line in bench.stderr:
                if "loaded in" in line:
                    break
            time.sleep(1)
            bench.send_signal(signal.SIGINT)
            out, _ = bench.communicate(timeout=60)
        self.assertEqual(bench.returncode, 130)
        found = json.loads(out)
        self.assertTrue(found["interrupted"])
        (row,) = found["results"]
        self.assertGreater(row["requests"], 0)

    def test_errors_are_explained(self) -> None:
        done = run("prefix", "--prefix-tokens", "5000", *FEW_BLOCKS)
        self.assertEqual(done.returncode, 1)
        self.assertIn("keel-bench: prompt has 5016 tokens", done.stderr)


class PagesTest(unittest.TestCase):
    def test_the_commands_of_the_pages_are_understood(self) -> None:
        commands = []
        for page in PAGES:
            for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S):
                for line in block.replace("\\\n", " ").splitlines():
                    if "//apps:bench -- " in line and "--help" not in line:
                        commands.append(shlex.split(line.split(" -- ", 1)[1], comments=True))
        self.assertGreater(len(commands), 3)
        for command in commands:
            # Wrong flags are 2; these are right, and the model is missing.
            missing = ("--model", "/missing")
            if "serve" in command:
                missing = ("--base-url", "http://127.0.0.1:1")
            elif "--shape" in command:
                continue  # the flags' test knows the names; the weights are large
            done = run(*command, *missing)
            self.assertEqual(done.returncode, 1, f"{command}: {done.stderr}")
            self.assertIn(missing[1], done.stderr)


if __name__ == "__main__":
    unittest.main()
