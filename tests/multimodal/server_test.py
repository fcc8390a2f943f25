"""Images over HTTP: OpenAI's and Anthropic's clients send them to a tiny model that sees, and get
what transformers answers."""

import base64
import http.server
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import unittest
from typing import Any

import anthropic
import openai
from tests.multimodal.goldens import Goldens, png
from tests.server.serving import Response, Server

PLUGIN = "plugins/qwen2_5_vl/libqwen2_5_vl.so"
GOLDENS = Goldens("plugins/qwen2_5_vl/testdata/default")
CLIPS = pathlib.Path("core/media/testdata")
MAX_PIXELS = 1_000_000
MAX_BYTES = 1 << 20


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def video_url(data: bytes) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": data_url(data, "video/mp4")}}


class ImagesTest(unittest.TestCase):
    server: Server
    client: openai.OpenAI
    folder: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
        (cls.folder / "allowed").mkdir()
        for i, image in enumerate(GOLDENS.images):
            (cls.folder / "allowed" / f"{i}.png").write_bytes(image.png())
        (cls.folder / "outside.png").write_bytes(GOLDENS.images[0].png())
        cls.server = Server(
            *("--model", GOLDENS.directory, "--plugin-path", PLUGIN, "--served-model-name", "see"),
            *("--kv-cache-memory-bytes", "8MiB", "--weight-cache", "off"),
            *("--allowed-local-media-path", str(cls.folder / "allowed")),
            *("--allowed-media-domains", "127.0.0.1,media.invalid"),
            *("--limit-mm-per-prompt", "image=3"),
            *("--max-media-bytes", str(MAX_BYTES), "--max-media-pixels", str(MAX_PIXELS)),
        )
        cls.addClassCleanup(cls.server.stop)
        cls.client = openai.OpenAI(
            base_url=f"{cls.server.url}/v1", api_key="none", max_retries=0, timeout=60
        )
        cls.addClassCleanup(cls.client.close)

    def content(self, chat: str, local: bool = False) -> list[dict[str, Any]]:
        """A golden chat's parts, with data URLs or files."""

        def part_of(part: Any) -> dict[str, Any]:
            if isinstance(part, str):
                return {"type": "text", "text": part}
            if local:
                return image_url(f"file://{self.folder}/allowed/{part}.png")
            return image_url(data_url(GOLDENS.images[part].png()))

        return [part_of(part) for part in GOLDENS.chats[chat]]

    def ask(self, content: list[dict[str, Any]], tokens: int = 32, **fields: Any) -> Any:
        return self.client.chat.completions.create(
            model="see",
            messages=[{"role": "user", "content": content}],
            temperature=0,
            max_tokens=tokens,
            extra_body={
                "return_token_ids": True,
                "ignore_eos": True,
                "skip_special_tokens": False,
                **fields,
            },
        )

    def text(self, ids: list[int]) -> str:
        return self.server.post("/detokenize", {"tokens": ids}).json()["prompt"]

    def expect_golden(self, chat: str, response: Any) -> None:
        (choice,) = response.choices
        self.assertEqual(choice.token_ids, GOLDENS.greedy(chat))
        self.assertEqual(choice.message.content, self.text(GOLDENS.greedy(chat)))
        self.assertEqual(response.usage.prompt_tokens, len(GOLDENS.ids(chat)))

    def refused(self, content: list[dict[str, Any]], words: list[str], place: str) -> None:
        """The part is refused by name, and the server goes on."""
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask(content)
        error: Any = raised.exception.body
        self.assertEqual(error["param"], place)
        for word in [place, *words]:
            self.assertIn(word, error["message"])
        self.assertEqual(self.server.get("/health").status, 200)

    # ---- what is taken

    def test_data_urls_of_one_and_of_two_images_of_unequal_sizes(self) -> None:
        for chat in ("one", "two", "again", "text"):
            with self.subTest(chat=chat):
                self.expect_golden(chat, self.ask(self.content(chat)))

    def test_local_files(self) -> None:
        self.expect_golden("two", self.ask(self.content("two", local=True)))

    def test_a_url_alone_without_an_object(self) -> None:
        content = self.content("one")
        content[0]["image_url"] = content[0]["image_url"]["url"]
        self.expect_golden("one", self.ask(content))

    def test_a_stream(self) -> None:
        content = self.content("one")
        chunks = self.client.chat.completions.create(
            model="see",
            messages=[{"role": "user", "content": content}],
            temperature=0,
            max_tokens=32,
            stream=True,
            extra_body={"ignore_eos": True, "skip_special_tokens": False},
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, self.text(GOLDENS.greedy("one")))

    def test_images_of_earlier_messages(self) -> None:
        content = self.content("one")
        response = self.client.chat.completions.create(
            model="see",
            messages=[
                {"role": "user", "content": content},
                {"role": "assistant", "content": "hm"},
                {"role": "user", "content": [image_url(data_url(GOLDENS.images[1].png()))]},
            ],
            max_tokens=1,
        )
        self.assertGreater(response.usage.prompt_tokens, len(GOLDENS.ids("one")) + 6)

    def test_responses_and_what_goes_on_from_them(self) -> None:
        content: list[Any] = [
            {"type": "input_text", "text": part}
            if isinstance(part, str)
            else {"type": "input_image", "image_url": data_url(GOLDENS.images[part].png())}
            for part in GOLDENS.chats["two"]
        ]
        first = self.client.responses.create(
            model="see", input=[{"role": "user", "content": content}], max_output_tokens=4
        )
        self.assertEqual(first.usage.input_tokens, len(GOLDENS.ids("two")))
        second = self.client.responses.create(
            model="see", input="and?", previous_response_id=first.id, max_output_tokens=4
        )
        self.assertGreater(second.usage.input_tokens, first.usage.input_tokens)

    def test_anthropics_blocks(self) -> None:
        client = anthropic.Anthropic(base_url=self.server.url, api_key="none", max_retries=0)
        self.addCleanup(client.close)
        data = base64.b64encode(GOLDENS.images[0].png()).decode()
        sources: list[Any] = [
            {"type": "base64", "media_type": "image/png", "data": data},
            {"type": "url", "url": f"file://{self.folder}/allowed/0.png"},
        ]
        for source in sources:
            content: list[Any] = [
                {"type": "image", "source": source},
                {"type": "text", "text": "What is it?"},
            ]
            messages: list[Any] = [{"role": "user", "content": content}]
            message = client.messages.create(model="see", max_tokens=4, messages=messages)
            usage = message.usage
            read = usage.input_tokens + (usage.cache_read_input_tokens or 0)
            self.assertEqual(read, len(GOLDENS.ids("one")))
            count = client.messages.count_tokens(model="see", messages=messages)
            self.assertEqual(count.input_tokens, len(GOLDENS.ids("one")))
        with self.assertRaises(anthropic.BadRequestError) as raised:
            content[0]["source"] = {"type": "base64", "media_type": "image/png", "data": "!"}
            client.messages.create(model="see", max_tokens=4, messages=messages)
        self.assertIn("messages[0].content[0] is no base64", str(raised.exception))

    def test_sglangs_image_data(self) -> None:
        encoded = [base64.b64encode(image.png()).decode() for image in GOLDENS.images]
        encoded[0] = data_url(GOLDENS.images[0].png())
        chats = {
            name: [encoded[part] for part in GOLDENS.chats[name] if not isinstance(part, str)]
            for name in ("one", "two")
        }
        # The goldens' prompts are without the token that begins a text.
        texts = [{"prompt": GOLDENS.texts[name], "add_special_tokens": False} for name in chats]
        prompts = [self.server.post("/tokenize", text).json()["tokens"] for text in texts]
        params = {"temperature": 0, "max_new_tokens": 32, "ignore_eos": True}
        for name, prompt, images in zip(chats, prompts, chats.values()):
            body = {"input_ids": prompt, "image_data": images, "sampling_params": params}
            answer = self.server.post("/generate", body).json()
            self.assertEqual(answer["output_ids"], GOLDENS.greedy(name))
            self.assertEqual(answer["meta_info"]["prompt_tokens"], len(GOLDENS.ids(name)))
        every = {"input_ids": prompts, "image_data": [*chats.values()], "sampling_params": params}
        answers = self.server.post("/generate", every).json()
        expected = [GOLDENS.greedy(name) for name in chats]
        self.assertEqual([answer["output_ids"] for answer in answers], expected)
        text = {"text": GOLDENS.texts["one"], "image_data": chats["one"][0]}
        answer = self.server.post("/generate", text).json()
        self.assertEqual(answer["meta_info"]["prompt_tokens"], len(GOLDENS.ids("one")) + 1)
        bad = self.server.post("/generate", {"text": "x", "image_data": "!"})
        self.assertEqual(bad.status, 400)
        self.assertIn("image_data is no base64", bad.json()["error"]["message"])

    def test_options_of_the_processor(self) -> None:
        content = self.content("two")
        small = self.ask(content, 1, mm_processor_kwargs={"max_pixels": 4 * 28 * 28})
        self.assertLess(small.usage.prompt_tokens, len(GOLDENS.ids("two")))
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask(content, 1, mm_processor_kwargs={"do_paint": True})
        self.assertIn("mm_processor_kwargs has 'do_paint'", str(raised.exception))
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask(content, 1, mm_processor_kwargs={"batch_num_images": 1})
        self.assertIn("'batch_num_images', which the request's images say", str(raised.exception))

    def test_the_same_image_again_needs_no_encoder(self) -> None:
        def encoded() -> float:
            queries = self.server.metric("vllm:mm_cache_queries_total")
            return queries - self.server.metric("vllm:mm_cache_hits_total")

        image = GOLDENS.images[0]
        url = data_url(png(image.height, image.width, image.rgb[::-1]))  # that no other test has
        before = encoded()
        self.ask([image_url(url), {"type": "text", "text": "a"}], 1, cache_salt="a")
        self.assertEqual(encoded(), before + 1)
        hits = self.server.metric("vllm:mm_cache_hits_total")
        self.ask([image_url(url), {"type": "text", "text": "b"}], 1, cache_salt="b")
        self.assertEqual(encoded(), before + 1)
        self.assertEqual(self.server.metric("vllm:mm_cache_hits_total"), hits + 1)

    def test_clips(self) -> None:
        question: dict[str, Any] = {"type": "text", "text": "What is it?"}
        unseen = self.ask([question])
        tokens = set()
        for name in ("clip.mp4", "clip.webm"):
            with self.subTest(clip=name):
                part = video_url((CLIPS / name).read_bytes())
                response = self.ask([part, question])
                (choice,) = response.choices
                self.assertEqual(len(choice.token_ids), 32)
                self.assertEqual(choice.message.content, self.text(choice.token_ids))
                self.assertNotEqual(choice.token_ids, unseen.choices[0].token_ids)
                tokens.add(response.usage.prompt_tokens - unseen.usage.prompt_tokens)
                part["video_url"] = part["video_url"]["url"]  # alone, without an object
                again = self.ask([part, question])
                self.assertEqual(again.choices[0].token_ids, choice.token_ids)
        self.assertEqual(len(tokens), 1)  # both have 12 frames of one size
        self.assertGreaterEqual(tokens.pop(), 6)  # a pair of them has one at least

    def test_the_server_says_what_it_takes(self) -> None:
        self.assertEqual(self.server.get("/info").json()["modalities"], ["text", "image", "video"])
        self.assertTrue(self.server.get("/model_info").json()["has_image_understanding"])

    # ---- what is refused

    def test_what_is_no_image(self) -> None:
        image = GOLDENS.images[0].png()
        before = {"type": "text", "text": "see"}
        place = "messages[0].content[1]"
        header = bytearray(image)
        header[16:24] = (30_000).to_bytes(4, "big") * 2
        for url, words in (
            ("data:image/png;base64,!!!!", ["is no base64"]),
            ("data:image/png;base64,QUJ", ["is no base64"]),
            ("data:image/png,plain", ["is no data URL that can be read"]),
            (data_url(image[: len(image) // 2]), ["is no image that can be decoded: PNG"]),
            (data_url(b"just a text"), ["is no image that can be decoded: it begins with"]),
            (data_url(b""), ["it is empty"]),
            (data_url(bytes(header)), ["is no image that can be decoded: PNG"]),
            (data_url(png(5000, 5000, bytes(75_000_000), 1)), [f"at most {MAX_PIXELS} in all"]),
            (data_url(image + bytes(MAX_BYTES)), [f"bytes, expected at most {MAX_BYTES}"]),
            (f"file://{self.folder}/allowed/none.png", ["is not there"]),
            (f"file://{self.folder}/outside.png", ["is not below --allowed-local-media-path"]),
            (f"file://{self.folder}/allowed/../outside.png", ["leads out of"]),
            (f"file://{self.folder}/allowed", ["is not below"]),
            ("/etc/passwd", ["is no URL of a kind that is read"]),
            ("https://example.com/a.png", ["is at example.com, expected one of"]),
            ("http://media.invalid/a.png", ["can't be fetched"]),
            (data_url(png(1, 300, bytes(900))), ["aspect ratio"]),
        ):
            with self.subTest(url=url[:60]):
                self.refused([before, image_url(url)], words, place)

    def test_a_private_address_is_refused_though_its_name_is_allowed(self) -> None:
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)

        web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.shutdown)
        url = f"http://127.0.0.1:{web.server_address[1]}/a.png"
        self.refused([image_url(url)], ["private, local or reserved"], "messages[0].content[0]")
        self.assertEqual(asked, [])

    def test_too_many(self) -> None:
        url = data_url(GOLDENS.images[0].png())
        self.refused(
            [image_url(url)] * 4,
            ["is image 4 of the request, expected at most 3 (--limit-mm-per-prompt)"],
            "messages[0].content[3]",
        )

    def test_kinds_that_the_model_does_not_take(self) -> None:
        sound = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}
        self.refused([sound], ["is audio, which model", "does not take"], "messages[0].content[0]")

    def test_a_clip_that_is_none(self) -> None:
        clip = (CLIPS / "clip.mp4").read_bytes()
        before = {"type": "text", "text": "see"}
        for data in (clip[: len(clip) // 3], clip[: len(clip) // 2], b"no clip"):
            with self.subTest(bytes=len(data)):
                self.refused(
                    [before, video_url(data)],
                    ["is no video that can be decoded"],
                    "messages[0].content[1]",
                )

    def test_a_placeholder_without_an_image(self) -> None:
        with self.assertRaises(openai.BadRequestError) as raised:
            self.ask([{"type": "text", "text": "<|image_pad|>"}])
        self.assertIn("1 placeholders <|image_pad|> and the request 0", str(raised.exception))

    def test_a_decoder_that_dies_is_replaced(self) -> None:
        content = self.content("one")
        killed = [pid for pid in self.children() if self.name_of(pid) == "keel-media"]
        self.assertGreaterEqual(len(killed), 1)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        for _ in killed:  # each costs one request its error
            self.refused(content, ["is no image that can be decoded"], "messages[0].content[0]")
        self.expect_golden("one", self.ask(content))

    def children(self) -> list[int]:
        pids = []
        for task in pathlib.Path(f"/proc/{self.server.process.pid}/task").iterdir():
            pids += [int(pid) for pid in (task / "children").read_text().split()]
        return pids

    def name_of(self, pid: int) -> str:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


class OtherProgramsTest(unittest.TestCase):
    def test_check_says_that_the_model_takes_images(self) -> None:
        check = subprocess.run(
            ["apps/check/check", GOLDENS.directory, "--plugin-path", PLUGIN],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        text = " ".join(check.stdout.split())
        self.assertIn("KEEL-CHK-704 processor: processor_config.json: Qwen2_5_VLProcessor", text)
        self.assertIn("takes images, videos", text)

    def test_a_model_of_texts_refuses_an_image_by_its_place(self) -> None:
        with Server() as server:
            content = [{"type": "text", "text": "see"}, image_url(data_url(b"x"))]
            response: Response = server.post(
                "/v1/chat/completions", {"messages": [{"role": "user", "content": content}]}
            )
            self.assertEqual(response.status, 400)
            self.assertIn("messages[0].content[1] is an image", response.error()["message"])
            self.assertIn("reads text alone", response.error()["message"])


if __name__ == "__main__":
    unittest.main()
