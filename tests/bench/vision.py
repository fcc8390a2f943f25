"""Images beside transformers and beside text, on Qwen2.5-VL-3B's vision tower with random weights.

  ./bazelw build //apps/keel
  python tests/bench/vision.py --rounds 3

Prints, as medians of rounds that take turns:
- the time from request to first token of one image, by `keel serve` over HTTP and by transformers'
  `generate`, which read the same checkpoint in bf16, and of an image that the server has seen;
- the time between two tokens of text streams, alone and while as many requests with images run.
The decoder has the width of the 3B model's and --layers of its 36 layers. Needs the environment of
tests/goldens/venv.sh.
"""

import argparse
import base64
import concurrent.futures
import http.client
import io
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import PIL.Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/goldens"))

import tiny_tokenizer  # noqa: E402

SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
NUM_TOKENS = 128
TEMPLATE = """\
{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}{{- message['content'] }}{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'text' %}{{- part['text'] }}
{%- else %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}{%- endif %}
{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
QUESTION = "What is it?"


def write_checkpoint(directory: pathlib.Path, layers: int) -> None:
    import torch
    import transformers

    config = transformers.Qwen2_5_VLConfig(
        text_config=dict(
            hidden_size=2048,
            intermediate_size=11008,
            num_hidden_layers=layers,
            num_attention_heads=16,
            num_key_value_heads=2,
            vocab_size=NUM_TOKENS + len(SPECIAL),
            max_position_embeddings=32768,
            rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24]),
        ),
        vision_config=dict(
            depth=32,
            hidden_size=1280,
            intermediate_size=3420,
            num_heads=16,
            out_hidden_size=2048,
            window_size=112,
            fullatt_block_indexes=[7, 15, 23, 31],
            tokens_per_second=2,
        ),
        bos_token_id=0,
        eos_token_id=2,
        **{
            name: NUM_TOKENS + i
            for i, name in enumerate(
                (
                    "vision_start_token_id",
                    "vision_end_token_id",
                    "image_token_id",
                    "video_token_id",
                )
            )
        },
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(directory)
    tokenizer = tiny_tokenizer.build(
        NUM_TOKENS + len(SPECIAL), more_special=SPECIAL, chat_template=TEMPLATE
    )
    transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    ).save_pretrained(directory)


def picture(side: int, seed: int) -> bytes:
    """A PNG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(small).resize((side, side), PIL.Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "png")
    return out.getvalue()


class Server:
    def __init__(self, keel: pathlib.Path, checkpoint: pathlib.Path, flags: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [keel, "serve", checkpoint, "--port", self.port, "--dtype", "bfloat16"]
        command += ["--kv-cache-memory-bytes", "2GiB", "--max-model-len", "8192", *flags]
        self.process = subprocess.Popen([str(part) for part in command])
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}")
            time.sleep(0.2)

    def stream(self, content, max_tokens: int) -> list[float]:
        """When the request was sent, and when each token came."""
        body = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "stream": True,
            "ignore_eos": True,
            "temperature": 0,
            "allowed_token_ids": [40],  # a letter: a text for every token
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        data = json.dumps(body)
        times = [time.perf_counter()]
        connection.request("POST", "/v1/chat/completions", data)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(response.read().decode())
        for line in response:
            if line.startswith(b"data: {") and b'"content":"' in line.replace(b" ", b""):
                if json.loads(line[6:])["choices"][0]["delta"].get("content"):
                    times.append(time.perf_counter())
        return times

    def with_image(self, png: bytes, max_tokens: int = 1) -> list[float]:
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        parts = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": QUESTION},
        ]
        return self.stream(parts, max_tokens)


class Transformers:
    def __init__(self, checkpoint: pathlib.Path) -> None:
        import torch
        import transformers

        self.torch = torch
        self.processor = transformers.AutoProcessor.from_pretrained(checkpoint)
        self.model = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
            checkpoint, dtype=torch.bfloat16
        )

    def first_token(self, png: bytes) -> float:
        begin = time.perf_counter()
        message = {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": QUESTION}],
        }
        prompt = self.processor.apply_chat_template([message], add_generation_prompt=True)
        inputs = self.processor(
            text=[prompt], images=[PIL.Image.open(io.BytesIO(png))], return_tensors="pt"
        )
        with self.torch.inference_mode():
            self.model.generate(**inputs, max_new_tokens=1, do_sample=False)
        return time.perf_counter() - begin


def gaps(streams: list[list[float]], begin: float, end: float) -> list[float]:
    """Seconds between two tokens, of those that came in between."""
    return [b - a for s in streams for a, b in zip(s[1:], s[2:]) if begin <= b < end]


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def beside_streams(server: Server, args: argparse.Namespace) -> None:
    with concurrent.futures.ThreadPoolExecutor(2 * args.streams) as pool:
        text = [
            pool.submit(server.stream, f"{i}: " + "hello " * 20, args.stream_tokens)
            for i in range(args.streams)
        ]
        time.sleep(args.alone)
        begin = time.perf_counter()
        images = [
            pool.submit(server.with_image, picture(args.beside_side, 1000 + i))
            for i in range(args.streams)
        ]
        first = [t[1] - t[0] for t in (image.result() for image in images)]
        end = time.perf_counter()
        streams = [stream.result() for stream in text]
    quiet = begin - args.alone / 2  # without the prompts' own steps
    for name, values in (
        ("alone", gaps(streams, quiet, begin)),
        (f"beside {args.streams} images", gaps(streams, begin, end)),
    ):
        print(
            f"{args.streams} streams {name:18} between tokens: median"
            f" {1e3 * statistics.median(values):6.0f} ms,"
            f" p99 {1e3 * percentile(values, 0.99):6.0f},"
            f" longest {1e3 * max(values):6.0f} ({len(values)} tokens)"
        )
    print(
        f"{args.streams} images of {args.beside_side} x {args.beside_side}: first token after"
        f" {statistics.median(first):.1f} s (median), {max(first):.1f} s (last)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keel", type=pathlib.Path, default=ROOT / "bazel-bin/apps/keel/keel")
    parser.add_argument("--keel-flag", action="append", default=[], help="more flags for Keel")
    parser.add_argument("--checkpoint", type=pathlib.Path, help="kept there; else a temporary one")
    parser.add_argument("--layers", type=int, default=4, help="of the decoder")
    parser.add_argument("--side", type=int, default=1024, help="pixels of the image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=16, help="0: none of that part")
    parser.add_argument("--stream-tokens", type=int, default=1500)
    parser.add_argument("--beside-side", type=int, default=448)
    parser.add_argument("--alone", type=float, default=10, help="seconds of streams alone")
    parser.add_argument("--no-transformers", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = args.checkpoint or pathlib.Path(temporary)
        if not (checkpoint / "config.json").exists():
            write_checkpoint(checkpoint, args.layers)
        server = Server(args.keel, checkpoint, args.keel_flag)
        try:
            peer = None if args.no_transformers else Transformers(checkpoint)
            rows: dict[str, list[float]] = {"keel": [], "keel, seen before": [], "transformers": []}
            for round_ in range(args.rounds + 1):  # the first warms up
                png = picture(args.side, round_)
                took = {}
                for name in ("keel", "keel, seen before"):
                    times = server.with_image(png)
                    took[name] = times[1] - times[0]
                if peer is not None:
                    took["transformers"] = peer.first_token(png)
                if round_ > 0:
                    for name, seconds in took.items():
                        rows[name].append(seconds)
            for name, seconds in rows.items():
                if seconds:
                    print(f"{args.side} x {args.side}, first token, {name:18}"
                          f" {statistics.median(seconds):7.2f} s")  # fmt: skip
            if args.streams > 0:
                beside_streams(server, args)
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
