"""keel.LLM, with the demo model."""

import contextlib
import io
import os
import signal
import sys
import threading
import types
import unittest
import warnings
from unittest import mock

import tests.python.testing as testing

from keel import (
    LLM,
    BeamSearchParams,
    InvalidArgument,
    KeelError,
    NotFound,
    NotServed,
    SamplingParams,
    StructuredOutputsParams,
    list_options,
)

GREEDY = SamplingParams(temperature=0, max_tokens=48)


class Interrupting:
    """A progress bar that its user ends with Ctrl-C."""

    def __init__(self, **_):
        self.format_dict = {"elapsed": 0}

    def set_postfix_str(self, *_, **__):
        raise KeyboardInterrupt

    def update(self, _):
        pass

    def close(self):
        pass


class Recorded:
    """A progress bar that keeps what it was told."""

    made: list["Recorded"] = []

    def __init__(self, total, desc, unit, **_):
        self.total, self.desc, self.unit, self.done, self.closed = total, desc, unit, 0, False
        self.made.append(self)

    def update(self, n):
        self.done += n

    def close(self):
        self.closed = True


class Terminal(io.StringIO):
    def isatty(self):
        return True


class LlmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.llm = LLM(model=testing.MODEL, max_num_seqs=16, max_queued_requests=24)
        cls.goldens = testing.goldens(40)

    @classmethod
    def tearDownClass(cls):
        cls.llm.shutdown()

    def generate(self, prompts, params=GREEDY, **more):
        return self.llm.generate(prompts, params, use_tqdm=False, **more)

    def running(self):
        metrics = self.llm.metrics()
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
        return sum(testing.metric(metrics, name) for name in names)

    def test_chat_answers_as_transformers_does(self):
        asked = [golden["messages"] for golden in self.goldens[:8]]
        results = self.llm.chat(asked, GREEDY, use_tqdm=False)
        for result, golden in zip(results, self.goldens):
            self.assertEqual(result.prompt_token_ids, golden["prompt_token_ids"])
            self.assertEqual(result.outputs[0].token_ids, golden["token_ids"][:48])
            self.assertEqual(result.outputs[0].text, golden["text"])
        (one,) = self.llm.chat(asked[0], GREEDY, use_tqdm=False)
        self.assertEqual(one.outputs[0].text, self.goldens[0]["text"])

    def test_results_come_in_order_though_the_queue_holds_fewer(self):
        prompts = [golden["prompt_token_ids"] for golden in self.goldens]
        self.assertGreater(len(prompts), 24)
        params = [SamplingParams(temperature=0, max_tokens=1 + i % 7) for i in range(len(prompts))]
        results = self.generate(prompts, params)
        for result, golden, wanted in zip(results, self.goldens, params):
            output = result.outputs[0]
            self.assertTrue(result.finished)
            self.assertEqual(result.prompt_token_ids, golden["prompt_token_ids"])
            self.assertEqual(output.token_ids, golden["token_ids"][: wanted.max_tokens])
            self.assertEqual(output.finish_reason, "length")
        self.assertEqual(len({result.request_id for result in results}), len(results))

    def test_a_prompt_is_text_ids_or_a_dict(self):
        ids = self.goldens[0]["prompt_token_ids"]
        text = "A river is"
        tokenizer = self.llm.get_tokenizer()
        self.assertEqual(tokenizer.decode(tokenizer.encode(text, False)), text)
        results = self.generate(
            [text, ids, {"prompt": text}, {"prompt_token_ids": ids, "cache_salt": "mine"}]
        )
        texts = [result.outputs[0].text for result in results]
        self.assertEqual([texts[0], texts[1]], [texts[2], texts[3]])
        self.assertEqual(texts[1], self.goldens[0]["text"])
        self.assertEqual([r.prompt for r in results], [text, None, text, None])
        self.assertEqual(self.generate(text)[0].outputs[0].text, texts[0])
        self.assertEqual(self.generate(ids)[0].outputs[0].text, texts[1])
        self.assertEqual(self.generate([]), [])

    def test_logprobs_have_tokens_ranks_and_texts(self):
        ids = self.goldens[0]["prompt_token_ids"]
        params = SamplingParams(temperature=0, max_tokens=5, logprobs=3, prompt_logprobs=2)
        (result,) = self.generate([ids], params)
        output = result.outputs[0]
        self.assertEqual(len(output.logprobs), len(output.token_ids))
        total = 0.0
        for token, position in zip(output.token_ids, output.logprobs):
            self.assertEqual([entry.rank for entry in position.values()], [1, 2, 3])
            best = max(position, key=lambda t: position[t].logprob)
            self.assertEqual(best, token)  # greedy
            total += position[token].logprob
        self.assertAlmostEqual(output.cumulative_logprob, total, places=4)
        texts = [
            position[t].decoded_token for t, position in zip(output.token_ids, output.logprobs)
        ]
        self.assertEqual("".join(texts).strip(), output.text.strip())
        self.assertIsNone(result.prompt_logprobs[0])
        self.assertEqual(len(result.prompt_logprobs), len(ids))
        for token, position in zip(ids[1:], result.prompt_logprobs[1:]):
            self.assertIn(token, position)

    def test_stops_at_strings_and_tokens_and_says_which(self):
        golden = self.goldens[0]
        ids, answer = golden["prompt_token_ids"], golden["token_ids"]
        by_text, by_token, by_end = self.generate(
            [ids] * 3,
            [
                SamplingParams(temperature=0, max_tokens=48, stop=["natural"]),
                SamplingParams(temperature=0, max_tokens=48, stop_token_ids=[answer[4]]),
                GREEDY,
            ],
        )
        outputs = [result.outputs[0] for result in (by_text, by_token, by_end)]
        self.assertEqual([o.finish_reason for o in outputs], ["stop"] * 3)
        self.assertEqual([o.stop_reason for o in outputs], ["natural", answer[4], None])
        self.assertEqual(outputs[0].text, golden["text"].split("natural")[0])

    def test_several_sequences_and_seeds(self):
        params = SamplingParams(n=3, temperature=1.2, seed=5, max_tokens=12)
        (result,) = self.generate(["Define:"], params)
        self.assertEqual([output.index for output in result.outputs], [0, 1, 2])
        self.assertGreater(len({output.text for output in result.outputs}), 1)
        (again,) = self.generate(["Define:"], params)
        self.assertEqual(result.outputs, again.outputs)

    def test_structured_outputs_are_kept(self):
        params = SamplingParams(
            max_tokens=8, structured_outputs=StructuredOutputsParams(choice=["lake", "river"])
        )
        (result,) = self.generate(["Define:"], params)
        self.assertIn(result.outputs[0].text, ["lake", "river"])

    def test_beam_search_gives_beams_with_their_prompt(self):
        ids = self.goldens[0]["prompt_token_ids"]
        (found,) = self.llm.beam_search([ids], BeamSearchParams(beam_width=3, max_tokens=6))
        self.assertEqual(len(found.sequences), 3)
        for beam in found.sequences:
            self.assertEqual(beam.tokens[: len(ids)], ids)
            self.assertLess(beam.cum_logprob, 0)
        self.assertEqual(len({tuple(beam.tokens) for beam in found.sequences}), 3)

    def test_an_interrupt_cancels_all(self):
        params = SamplingParams(temperature=0, max_tokens=400, ignore_eos=True)
        short = SamplingParams(temperature=0, max_tokens=1)
        with self.assertRaises(KeyboardInterrupt):
            self.llm.generate(["Define:"] * 12, [short] + [params] * 11, use_tqdm=Interrupting)
        self.generate(["Define:"], short)  # nothing of those is given to others
        for _ in range(1000):
            if self.running() == 0:
                break
            self.generate(["Define:"], short)
        self.assertEqual(self.running(), 0)

    def test_errors_have_kinds_and_say_what_they_are_about(self):
        with self.assertRaisesRegex(ValueError, "max_model_len|tokens") as caught:
            self.generate([[5] * 100000])
        self.assertIsInstance(caught.exception, InvalidArgument)
        self.assertEqual(caught.exception.field, "prompt")
        with self.assertRaises(InvalidArgument) as caught:
            self.generate(["hi"], SamplingParams(top_p=7.0))
        self.assertEqual(caught.exception.field, "top_p")
        with self.assertRaisesRegex(InvalidArgument, "top_k is 1.5, expected a whole number"):
            self.generate(["hi"], SamplingParams(top_k=1.5))
        with self.assertRaisesRegex(InvalidArgument, "2 entries for 1 prompts"):
            self.generate(["hi"], [GREEDY, GREEDY])
        with self.assertRaisesRegex(InvalidArgument, "prompt is 3.5, expected"):
            self.generate([3.5])
        with self.assertRaisesRegex(InvalidArgument, "does not take: it reads text alone"):
            self.generate([{"prompt": "hi", "multi_modal_data": {"image": b"any"}}])
        with self.assertRaisesRegex(NotServed, "detokenize is False"):
            self.generate(["hi"], SamplingParams(detokenize=False))
        # One that is refused takes the others with it.
        with self.assertRaises(InvalidArgument):
            self.generate(["hi", [5] * 100000, "hi"])
        self.assertEqual(len(self.generate(["hi"], SamplingParams(max_tokens=1))), 1)


class LoadTest(unittest.TestCase):
    def test_a_model_that_is_not_there(self):
        with self.assertRaises(NotFound) as caught:
            LLM("/no/such/model")
        self.assertIsInstance(caught.exception, FileNotFoundError)
        self.assertIsInstance(caught.exception, KeelError)
        self.assertIn("/no/such/model", str(caught.exception))

    def test_loading_shows_bars(self):
        Recorded.made = []
        with LLM(testing.MODEL, use_tqdm_on_load=Recorded):
            bars = {bar.desc: bar for bar in Recorded.made}
        self.assertEqual(len(bars), len(Recorded.made))
        weights = os.path.getsize(testing.MODEL + "/model.safetensors")
        self.assertAlmostEqual(bars["loading weights"].total, weights, delta=weights / 100)
        for bar in Recorded.made:
            self.assertEqual((bar.unit, bar.closed), ("B", True), bar.desc)
            self.assertAlmostEqual(bar.done / bar.total, 1, delta=0.01, msg=bar.desc)

    def test_only_a_terminal_shows_them_unasked(self):
        shown = []
        # Stands in for the package, which this Python may lack.
        tqdm = types.SimpleNamespace(tqdm=Recorded)
        with mock.patch.dict(sys.modules, {"tqdm": tqdm, "tqdm.auto": tqdm}):
            for stderr, options in (
                (Terminal(), {}),
                (io.StringIO(), {}),
                (Terminal(), {"use_tqdm_on_load": False}),
            ):
                Recorded.made = []
                with contextlib.redirect_stderr(stderr), LLM(testing.MODEL, **options):
                    shown.append([bar.desc for bar in Recorded.made])
        self.assertIn("loading weights", shown[0])
        self.assertEqual(shown[1:], [[], []])

    def test_an_interrupt_while_loading_is_not_lost(self):
        class Interrupted(Recorded):
            """Bars during each of which Ctrl-C is pressed, while the engine computes."""

            def __init__(self, **about):
                super().__init__(**about)
                self.timer = threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGINT))
                self.timer.start()

            def close(self):
                self.timer.join()

        with self.assertRaises(KeyboardInterrupt):
            LLM(testing.MODEL, use_tqdm_on_load=Interrupted)

    def test_what_a_bar_raises_ends_a_load(self):
        class Broken(Recorded):
            def update(self, n):
                raise OSError("no terminal")

        with self.assertRaisesRegex(OSError, "no terminal"):
            LLM(testing.MODEL, use_tqdm_on_load=Broken)

    def test_options_are_the_flags_of_the_server(self):
        with self.assertRaisesRegex(InvalidArgument, "did you mean 'max-num-seqs'") as caught:
            LLM(testing.MODEL, max_num_seq=3)
        self.assertEqual(caught.exception.flag, "max-num-seq")
        self.assertIn("max_num_seqs: sequences in one step (default 64)", list_options())

    def test_options_for_a_gpu_do_nothing(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with LLM(testing.MODEL, gpu_memory_utilization=0.9, context_length=64) as llm:
                self.assertEqual(llm.info["max_model_len"], 64)
        self.assertEqual([w.filename for w in caught], [__file__])
        self.assertIn("gpu_memory_utilization", str(caught[0].message))

    def test_a_seed_makes_programs_repeat_themselves(self):
        params = SamplingParams(temperature=1.5, max_tokens=8)
        texts = []
        for _ in range(2):
            with LLM(testing.MODEL, seed=3) as llm:
                results = llm.generate(["Define:"] * 3, params, use_tqdm=False)
                texts.append([result.outputs[0].text for result in results])
        self.assertEqual(texts[0], texts[1])
        self.assertGreater(len(set(texts[0])), 1)

    def test_what_is_shut_down_says_so(self):
        llm = LLM(testing.MODEL)
        llm.shutdown()
        llm.shutdown()
        with self.assertRaisesRegex(RuntimeError, "shut down"):
            llm.generate(["hi"], use_tqdm=False)


if __name__ == "__main__":
    unittest.main()
