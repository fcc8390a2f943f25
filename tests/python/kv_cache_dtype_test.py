"""kv_cache_dtype, with the demo model: how much a cache holds, and that texts stay the same."""

import json
import pathlib
import unittest

import tests.python.testing as testing

from keel import LLM, InvalidArgument, SamplingParams

GREEDY = SamplingParams(temperature=0, max_tokens=48)
SEEDED = SamplingParams(temperature=0.8, seed=7, n=2, max_tokens=90, ignore_eos=True)
CODES = ("fp8", "int8")


def load(kept: str, memory: str = "8MiB", **more) -> LLM:
    return LLM(
        testing.MODEL,
        kv_cache_dtype=kept,
        kv_cache_memory_bytes=memory,
        dtype="bfloat16",
        deterministic=True,
        **more,
    )


def token_ids(results) -> list[list[list[int]]]:
    return [[list(output.token_ids) for output in result.outputs] for result in results]


class KvCacheDtypeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prompts = [golden["prompt_token_ids"] for golden in testing.goldens(8)]

    def test_the_same_memory_holds_nearly_twice_the_blocks(self):
        config = json.loads(pathlib.Path(testing.MODEL, "config.json").read_text())
        rows = 2 * config["num_hidden_layers"] * config["num_key_value_heads"]
        size = config["head_dim"]
        # A code is a byte, a scale four.
        for kept, dtype, row_bytes in (
            ("auto", "bfloat16", 2 * size),
            ("bf16", "bfloat16", 2 * size),
            ("fp8", "float8_e4m3fn", size + 4),
            ("int8", "int8", size + 4),
        ):
            with load(kept) as llm:
                info, metrics = llm.info, llm.metrics()
            block_bytes = info["block_size"] * rows * row_bytes
            self.assertEqual(info["kv_cache_dtype"], dtype)
            self.assertEqual(info["kv_cache_blocks"], (8 << 20) // block_bytes)
            self.assertEqual(info["kv_cache_bytes"], info["kv_cache_blocks"] * block_bytes)
            line = next(x for x in metrics.splitlines() if x.startswith("vllm:cache_config_info{"))
            self.assertIn(f'cache_dtype="{dtype}"', line)
            self.assertIn(f'num_gpu_blocks="{info["kv_cache_blocks"]}"', line)

    def test_a_prefix_that_is_found_gives_the_same_text(self):
        prompt = (self.prompts[0] * 64)[:64]
        for kept in CODES:
            with load(kept) as llm:
                first, again = (
                    llm.generate([prompt], GREEDY, use_tqdm=False)[0] for _ in range(2)
                )
                beside = llm.generate([*self.prompts, prompt], GREEDY, use_tqdm=False)[-1:]
            self.assertEqual(first.num_cached_tokens, 0)
            self.assertGreaterEqual(again.num_cached_tokens, 48)
            self.assertEqual(token_ids([again]), token_ids([first]))
            self.assertEqual(token_ids(beside), token_ids([first]))

    def test_forks_and_preemption_change_no_text(self):
        for kept in CODES:
            texts = []
            for memory in ("64MiB", "0.5MiB"):
                with load(kept, memory, max_model_len=256) as llm:
                    texts.append(token_ids(llm.generate(self.prompts, SEEDED, use_tqdm=False)))
                    preemptions = testing.metric(llm.metrics(), "vllm:num_preemptions_total")
                self.assertEqual(preemptions > 0, memory == "0.5MiB")
            self.assertEqual(texts[1], texts[0])

    def test_another_type_is_refused(self):
        with self.assertRaisesRegex(InvalidArgument, "fp8_e5m2.*auto, bf16") as caught:
            load("fp8_e5m2")
        self.assertEqual(caught.exception.flag, "kv-cache-dtype")


if __name__ == "__main__":
    unittest.main()
