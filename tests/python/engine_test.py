"""keel.Engine: one answer, streams, and many at once from asyncio, with the demo model."""

import asyncio
import contextlib
import threading
import unittest

import tests.python.testing as testing

from keel import Engine, InvalidArgument, NotServed

GREEDY = {"temperature": 0, "max_new_tokens": 48}
LONG = {"temperature": 0, "max_new_tokens": 400, "ignore_eos": True}


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine(testing.MODEL)
        cls.goldens = testing.goldens(64)
        cls.ids = cls.goldens[0]["prompt_token_ids"]
        cls.text = cls.goldens[0]["text"]

    @classmethod
    def tearDownClass(cls):
        cls.engine.shutdown()

    def wait_for_rest(self):
        """Until nothing runs and nothing is watched for."""
        for _ in range(1000):
            metrics = self.engine._llm.metrics()
            if testing.metric(metrics, "vllm:num_requests_running") == 0:
                break
            threading.Event().wait(0.01)
        else:
            self.fail("a request still runs")
        self.assertEqual(self.engine._session._loops, {})

    def test_a_result_is_a_dict(self):
        result = self.engine.generate(input_ids=self.ids, sampling_params=GREEDY)
        self.assertEqual(result["text"], self.text)
        self.assertEqual(result["output_ids"], self.goldens[0]["token_ids"])
        meta = result["meta_info"]
        self.assertEqual(meta["prompt_tokens"], len(self.ids))
        self.assertEqual(meta["completion_tokens"], len(result["output_ids"]))
        self.assertEqual(meta["finish_reason"], {"type": "stop"})
        cut = self.engine.generate("Define:", {"max_new_tokens": 3, "ignore_eos": True})
        self.assertEqual(cut["meta_info"]["finish_reason"], {"type": "length", "length": 3})

    def test_lists_and_n_give_lists(self):
        results = self.engine.generate(["Define:", "A river"], [{"max_new_tokens": 2}, {"n": 2}])
        self.assertEqual(len(results), 2)
        self.assertLessEqual(results[0]["meta_info"]["completion_tokens"], 2)
        self.assertEqual(len(results[1]), 2)

    def test_logprobs(self):
        result = self.engine.generate(
            "Define:",
            {"max_new_tokens": 2, "temperature": 0},
            return_logprob=True,
            top_logprobs_num=2,
        )
        meta = result["meta_info"]
        self.assertEqual([t for _, t, _ in meta["output_token_logprobs"]], result["output_ids"])
        self.assertEqual([len(top) for top in meta["output_top_logprobs"]], [2, 2])

    def test_a_stream_holds_the_text_so_far(self):
        results = list(
            self.engine.generate(input_ids=self.ids, sampling_params=GREEDY, stream=True)
        )
        self.assertGreater(len(results), 1)
        for before, after in zip(results, results[1:]):
            self.assertTrue(after["text"].startswith(before["text"]))
        self.assertEqual(results[-1]["text"], self.text)

    def test_a_stream_that_is_left_is_cancelled(self):
        stream = self.engine.generate("Define:", LONG, stream=True)
        next(stream)
        stream.close()
        self.wait_for_rest()

    def test_sixty_four_at_once_from_asyncio(self):
        async def all_of_them():
            asked = [
                self.engine.async_generate(
                    input_ids=golden["prompt_token_ids"], sampling_params=GREEDY
                )
                for golden in self.goldens
            ]
            return await asyncio.gather(*asked)

        threads = threading.active_count()
        results = asyncio.run(all_of_them())
        self.assertEqual(len(results), 64)
        for result, golden in zip(results, self.goldens):
            self.assertEqual(result["output_ids"], golden["token_ids"][:48])
        self.wait_for_rest()
        self.assertLessEqual(threading.active_count(), threads)

    def test_streams_and_threads_share_an_engine(self):
        async def streamed(golden):
            last = None
            stream = await self.engine.async_generate(
                input_ids=golden["prompt_token_ids"], sampling_params=GREEDY, stream=True
            )
            async for last in stream:
                pass
            return last["text"]

        async def together():
            return await asyncio.gather(*map(streamed, self.goldens[:16]))

        texts = {}

        def loop(name):
            texts[name] = asyncio.run(together())

        def plain(name):
            ids = [golden["prompt_token_ids"] for golden in self.goldens[:16]]
            texts[name] = [
                r["text"] for r in self.engine.generate(input_ids=ids, sampling_params=GREEDY)
            ]

        threads = [threading.Thread(target=f, args=(i,)) for i, f in enumerate([loop, plain] * 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(texts[0], texts[1])
        self.assertEqual([texts[0], texts[1]], [texts[2], texts[3]])
        self.wait_for_rest()

    def test_cancelling_a_task_cancels_its_request(self):
        async def cancelled():
            whole = asyncio.create_task(self.engine.async_generate("Define:", LONG))
            many = asyncio.create_task(self.engine.async_generate(["Define:"] * 3, LONG))
            submitting = asyncio.create_task(self.engine.async_generate("Define:", LONG))
            async with contextlib.aclosing(self.engine.async_stream("Define:", LONG)) as stream:
                async for result in stream:
                    self.assertIsNone(result["meta_info"]["finish_reason"])
                    break
            # Before its thread has come to it, maybe.
            late = asyncio.create_task(self.engine.async_generate("Define:", LONG))
            await asyncio.sleep(0)
            for task in (whole, many, submitting, late):
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task

        asyncio.run(cancelled())
        self.wait_for_rest()

    def test_errors_come_where_the_result_would(self):
        with self.assertRaisesRegex(InvalidArgument, "unknown sampling parameter 'max_tokns'"):
            self.engine.generate("hi", {"max_tokns": 3})
        with self.assertRaisesRegex(InvalidArgument, "one of prompt and input_ids"):
            self.engine.generate()
        with self.assertRaisesRegex(NotServed, "stream takes one prompt"):
            self.engine.generate(["a", "b"], stream=True)
        with self.assertRaises(InvalidArgument):
            asyncio.run(self.engine.async_generate(input_ids=[5] * 100000))
        self.wait_for_rest()

    def test_a_shutdown_ends_what_runs(self):
        engine = Engine(testing.MODEL)
        stream = engine.generate("Define:", LONG, stream=True)
        next(stream)
        engine.shutdown()
        reasons = [result["meta_info"]["finish_reason"] for result in stream]
        self.assertEqual(reasons[-1]["type"], "abort")


if __name__ == "__main__":
    unittest.main()
