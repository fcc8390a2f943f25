"""Damaged images, sounds and clips over HTTP: each is answered or refused with 400, and the servers
live. Seeded: a failure comes again. An argument is how many there are: `bazel run ... -- 20000` is
a campaign."""

import base64
import collections
import concurrent.futures
import pathlib
import random
import sys
import unittest

from tests.multimodal.goldens import Goldens
from tests.server.serving import Server

SEES, HEARS = "qwen2_5_vl", "qwen2_audio"
SEEDS = pathlib.Path("core/media/testdata")
PARTS = {
    **dict.fromkeys(("png", "jpg", "webp", "gif"), "image_url"),
    **dict.fromkeys(("wav", "mp3", "flac", "ogg"), "audio_url"),
    **dict.fromkeys(("mp4", "mov", "webm", "avi"), "video_url"),
}

rounds = 360


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


def start(family: str) -> Server:
    return Server(
        *("--model", f"plugins/{family}/testdata/default"),
        *("--plugin-path", f"plugins/{family}/lib{family}.so"),
        *("--max-media-pixels", "1000000", "--weight-cache", "off", "--no-access-log"),
    )


def send(server: Server, part: str, data: bytes) -> tuple[int, str]:
    """The status, and what an error says."""
    url = f"data:;base64,{base64.b64encode(data).decode()}"
    content = [{"type": part, part: {"url": url}}]
    response = server.post(
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": content}], "max_tokens": 1},
    )
    return response.status, "" if response.status == 200 else response.error()["message"]


class HttpFuzzTest(unittest.TestCase):
    def test_each_is_answered_or_refused(self) -> None:
        seeds = {kind: sorted(SEEDS.glob(f"*.{kind}")) for kind in PARTS}
        self.assertEqual([kind for kind, paths in seeds.items() if not paths], [])
        with start(SEES) as sees, start(HEARS) as hears:

            def one(number: int) -> tuple[str, int, str]:
                chance = random.Random(number)
                kind = list(PARTS)[number % len(PARTS)]
                seed = chance.choice(seeds[kind])
                server = hears if PARTS[kind] == "audio_url" else sees
                status, message = send(server, PARTS[kind], damaged(seed.read_bytes(), chance))
                return kind, status, f"round {number}, {seed.name}: {message}"

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                results = list(pool.map(one, range(rounds)))
            statuses = collections.Counter((kind, status) for kind, status, _ in results)
            ended = collections.Counter(kind for kind, _, m in results if "in its jail" in m)
            for kind in PARTS:
                print(
                    f"{kind}: {statuses[kind, 200]} answered, {statuses[kind, 400]} refused, "
                    f"{ended[kind]} of them ended their decoder"
                )
            print(*[m for _, _, m in results if "in its jail" in m][:8], sep="\n")
            self.assertEqual([r for r in results if r[1] not in (200, 400)], [])
            self.assertEqual([r for r in results if "a jail does not allow" in r[2]], [])
            for part in set(PARTS.values()):
                for status in (200, 400):
                    got = sum(statuses[k, status] for k, p in PARTS.items() if p == part)
                    self.assertGreater(got, 0, (part, status))
            image = Goldens(f"plugins/{SEES}/testdata/default").images[0].png()
            self.assertEqual(send(sees, "image_url", image)[0], 200)
            sound = Goldens(f"plugins/{HEARS}/testdata/default").sounds[0].wav()
            self.assertEqual(send(hears, "audio_url", sound)[0], 200)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rounds = int(sys.argv.pop(1))
    unittest.main()
