"""Damaged images over HTTP: each is answered or refused with 400, and the server lives. Seeded: a
failure comes again. An argument is how many there are: `bazel run ... -- 20000` is a campaign."""

import base64
import collections
import concurrent.futures
import pathlib
import random
import sys
import unittest

from tests.multimodal.goldens import Goldens
from tests.server.serving import Server

PLUGIN = "plugins/qwen2_5_vl/libqwen2_5_vl.so"
MODEL = "plugins/qwen2_5_vl/testdata/default"
SEEDS = pathlib.Path("core/media/testdata")

rounds = 200


def damaged(data: bytes, chance: random.Random) -> bytes:
    """With up to eight changes, half of them in its header."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if not out:
            break
        at = chance.randrange(min(len(out), 64) if chance.random() < 0.5 else len(out))
        n = min(len(out) - at, chance.randint(1, 16))
        kind = chance.randrange(6)
        if kind == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            out[at : at + n] = chance.randbytes(n)
        elif kind == 2:
            out[at : at + n] = bytes([chance.choice((0, 255))]) * n
        elif kind == 3:
            del out[at : at + n]
        elif kind == 4:
            out[at:at] = out[:n]
        elif chance.random() < 0.25:
            del out[at:]
    return bytes(out)


class HttpFuzzTest(unittest.TestCase):
    def test_each_is_answered_or_refused(self) -> None:
        seeds = [path for kind in ("png", "jpg", "webp", "gif") for path in SEEDS.glob(f"*.{kind}")]
        seeds.sort()
        self.assertGreater(len(seeds), 80)
        flags = ("--max-media-pixels", "1000000", "--weight-cache", "off", "--no-access-log")
        with Server("--model", MODEL, "--plugin-path", PLUGIN, *flags) as server:

            def send(data: bytes) -> tuple[int, str]:
                url = f"data:;base64,{base64.b64encode(data).decode()}"
                part = {"type": "image_url", "image_url": {"url": url}}
                response = server.post(
                    "/v1/chat/completions",
                    {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1},
                )
                message = "" if response.status == 200 else response.error()["message"]
                return response.status, message

            def one(number: int) -> tuple[int, str]:
                chance = random.Random(number)
                seed = chance.choice(seeds)
                status, message = send(damaged(seed.read_bytes(), chance))
                if status not in (200, 400) or "a jail does not allow" in message:
                    return status, f"round {number}, {seed.name}: {message}"
                return status, "" if "in its jail" not in message else message

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                results = list(pool.map(one, range(rounds)))
            counts = collections.Counter(status for status, _ in results)
            ended = [message for _, message in results if "in its jail" in message]
            print(f"{rounds} images: {dict(counts)}, {len(ended)} ended their decoder", *ended[:5])
            self.assertEqual([r for r in results if r[0] not in (200, 400)], [])
            self.assertEqual([r for r in results if "does not allow" in r[1]], [])
            self.assertGreater(counts[200], 0)
            self.assertGreater(counts[400], 0)
            self.assertEqual(send(Goldens(MODEL).images[0].png())[0], 200)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rounds = int(sys.argv.pop(1))
    unittest.main()
