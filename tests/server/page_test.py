"""The page at /, in a browser."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any

from selenium.webdriver.common.keys import Keys

from tests.server.browser import wait_until
from tests.server.page_case import FAKE, MODELS, PageCase
from tests.server.serving import Server

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c"
    "49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
ASK = "const ask = window.fetch; window.calls = 0;"
# The models of /v1/models take images.
TAKE_IMAGES = (
    ASK
    + """
    window.fetch = async (path, options) => {
      const response = await ask(path, options);
      if (path !== "v1/models") return response;
      const list = await response.json();
      for (const { keel } of list.data) keel.modalities = ["text", "image"];
      return new Response(JSON.stringify(list));
    };"""
)
# The first answer is what a server says that loads its model.
LOADS = (
    ASK
    + """
    window.fetch = async (path, options) => {
      if (path !== "v1/models" || ++window.calls > 1) return ask(path, options);
      const error = {message: "the model is loading"};
      return new Response(JSON.stringify({error}), {status: 503});
    };"""
)


class PageTest(PageCase):
    def test_nothing_is_wrong_and_nothing_comes_from_elsewhere(self) -> None:
        self.browser.wait_for("#model option")
        self.assertEqual(self.browser.driver.title, "one – Keel")
        self.assertEqual(self.focused(), "question")
        self.assertEqual(self.browser.complaints(), [])
        urls = [request["url"] for request in self.browser.requests()]
        self.assertIn(f"{self.server.url}/page/main.js", urls)
        self.assertEqual([url for url in urls if not url.startswith(self.server.url + "/")], [])
        sizes = "return performance.getEntriesByType('resource').map(e => e.encodedBodySize)"
        self.assertLess(sum(self.browser.run(sizes)), 64 << 10)

    def test_an_answer_comes_piece_by_piece(self) -> None:
        text = "one two three four"
        self.choose("slow")
        self.browser.run("""
            window.said = [];
            new MutationObserver(() => said.push(announcer.textContent))
                .observe(announcer, {childList: true});
            window.seen = new Set();
            new MutationObserver(() => seen.add(document.querySelector(".text")?.textContent))
                .observe(conversation, {childList: true, subtree: true});""")
        self.ask(text)
        self.wait_for_answers(text)
        seen = self.browser.run("return [...seen]")
        self.assertGreater(len(seen), 2, seen)
        self.assertTrue(all(text.startswith(piece) for piece in seen), seen)
        self.assertEqual(self.browser.texts(".question p"), [text])
        self.assertRegex(self.browser.element(".stats").text, r"slow · 19 tokens · \d+ tokens/s")
        # Screen readers hear of it twice, not with each piece.
        said = [words.strip() for words in self.browser.run("return said")]
        self.assertEqual(said, ["Answering", text])

    def test_escape_stops(self) -> None:
        self.choose("slow")
        self.ask("x" * 200)
        self.browser.wait_for(".answer .text p")
        self.assertTrue(self.browser.element("#stop").is_displayed())
        self.browser.element("#question").send_keys("next", Keys.ESCAPE)
        wait_until(lambda: len(self.answers()) == 1, "the answer ends")
        self.assertRegex(self.answers()[0], r"^x{1,199}Stopped\.$")
        wait_until(lambda: self.server.get("/load").json() == {"server_load": 0}, "it stopped")
        self.assertEqual(self.browser.element("#question").get_attribute("value"), "next")
        self.assertTrue(self.browser.element("#send").is_displayed())

    def test_another_answer(self) -> None:
        self.ask("first")
        self.wait_for_answers("first")
        self.ask("second")
        self.wait_for_answers("first", "second")
        (button,) = self.browser.elements(".regenerate")  # of the last answer alone
        old = self.browser.elements(".answer")[-1]
        self.sent()
        button.click()
        wait_until(
            lambda: (
                self.answers() == ["first", "second"]
                and self.browser.elements(".answer")[-1] != old
            ),
            "there is another",
        )
        (call,) = self.sent()
        self.assertEqual(
            call["messages"],
            [
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "first"},
                {"role": "user", "content": "second"},
            ],
        )

    def test_a_reload_keeps_the_conversation(self) -> None:
        self.ask("hello")
        self.wait_for_answers("hello")
        self.browser.driver.refresh()
        self.wait_for_answers("hello")
        self.ask("again")
        self.wait_for_answers("hello", "again")
        self.browser.element("#new-chat").click()
        self.assertEqual(self.answers(), [])
        self.browser.driver.refresh()
        self.browser.wait_for("#model option")
        self.assertEqual(self.answers(), [])

    def test_keys_alone(self) -> None:
        self.browser.wait_for("#model option")
        self.press("a line", Keys.SHIFT + Keys.ENTER, "another", Keys.ENTER)
        self.wait_for_answers("a line\nanother")
        self.assertEqual(self.focused(), "question")
        old = self.browser.element(".answer")
        self.press(Keys.SHIFT + Keys.TAB)
        self.assertEqual(
            self.browser.run("return document.activeElement.textContent"), "Regenerate"
        )
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        self.assertEqual(self.browser.run(outline), "solid")
        self.press(Keys.ENTER)
        wait_until(
            lambda: self.browser.elements(".answer:not([aria-busy])") not in ([], [old]),
            "there is another",
        )
        self.assertEqual(self.focused(), "question")
        while self.focused() != "open-settings":
            self.press(Keys.SHIFT + Keys.TAB)
        self.press(Keys.ENTER)
        self.assertEqual(self.focused(), "system")
        self.press("Be brief.", Keys.TAB, "0.5", Keys.ENTER)
        self.assertEqual(self.focused(), "open-settings")
        self.press(Keys.ENTER, Keys.ESCAPE)
        self.assertEqual(self.focused(), "open-settings")

    def test_settings_are_sent_and_kept(self) -> None:
        fields = {
            "system": "Be brief.",
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 4,
            "seed": 7,
        }
        self.browser.element("#open-settings").click()
        for name, value in fields.items():
            self.browser.element(f"#settings [name={name}]").send_keys(str(value))
        self.browser.element("#settings .main").click()
        self.browser.driver.refresh()
        self.ask("abcdefgh")
        self.wait_for_answers("abcdEnded at the most tokens it may have.")
        (call,) = self.sent()
        self.assertEqual(
            {name: call.get(name) for name in fields if name != "system"},
            {name: value for name, value in fields.items() if name != "system"},
        )
        self.assertEqual(call["messages"][0], {"role": "system", "content": "Be brief."})
        self.browser.element("#open-settings").click()
        self.browser.element("#reset-settings").click()
        self.press(Keys.ESCAPE)
        self.ask("abcdefgh")
        wait_until(lambda: len(self.answers()) == 2, "there is an answer")
        (call,) = self.sent()
        self.assertEqual(set(call), {"model", "messages", "stream", "stream_options"})

    def test_the_model_is_chosen(self) -> None:
        self.choose("slow")
        self.ask("hi")
        self.wait_for_answers("hi")
        self.choose("one")
        self.ask("ho")
        self.wait_for_answers("hi", "ho")
        self.assertEqual([call["model"] for call in self.sent()], ["slow", "one"])

    def test_a_model_without_a_chat_template_goes_on_with_the_text(self) -> None:
        self.choose("base")
        self.ask("once")
        self.wait_for_answers("once")
        self.ask("upon")
        self.wait_for_answers("once", "onceonceupon")
        self.assertEqual([call["prompt"] for call in self.sent()], ["once", "onceonceupon"])

    def test_what_is_refused_is_said_and_not_lost(self) -> None:
        self.ask("x" * 4096)
        notice = self.browser.element("#notice")
        wait_until(lambda: "the context holds 4096" in notice.text, "the notice says why")
        question = self.browser.element("#question")
        self.assertEqual(question.get_attribute("value"), "x" * 4096)
        self.assertEqual(self.browser.elements(".turn"), [])
        self.assertTrue(self.browser.element("#welcome").is_displayed())
        question.clear()
        self.ask("[fail] in the midst")
        self.wait_for_answers("[faThe step failed.")
        self.assertEqual(notice.text, "")

    def test_a_server_that_is_gone(self) -> None:
        with Server(*MODELS, program=FAKE) as server:
            self.open(server)
            self.browser.wait_for("#model option")
        self.ask("hello")
        notice = self.browser.element("#notice")
        wait_until(lambda: notice.text == "The server cannot be reached.", "the notice says so")
        self.assertEqual(self.browser.element("#question").get_attribute("value"), "hello")

    def test_a_server_that_loads_its_model(self) -> None:
        self.open_with(LOADS)
        notice = self.browser.element("#notice")
        wait_until(lambda: notice.text == "The model is loading.", "the notice says so")
        self.ask("hello")
        self.wait_for_answers("hello")
        self.assertEqual(notice.text, "")

    def test_a_key_is_asked_for(self) -> None:
        with Server(*MODELS, "--api-key=right", program=FAKE) as server:
            self.open(server)
            wait_until(lambda: self.focused() == "key", "the key is asked for")
            self.press("wrong", Keys.ENTER)
            error = self.browser.element("#key-error")
            wait_until(lambda: "does not take this key" in error.text, "the key is wrong")
            self.press("right", Keys.ENTER)
            self.ask("hello")
            self.wait_for_answers("hello")

    def test_reasoning_is_folded(self) -> None:
        self.ask("(well, **hm**)yes")
        self.wait_for_answers("yes")
        reasoning = self.browser.element(".reasoning")
        self.assertRegex(reasoning.text, r"^Thought for \d+(\.\d)? m?s$")
        reasoning.find_element("css selector", "summary").click()
        self.assertIn("well, hm", reasoning.text)

    def test_texts_are_never_markup(self) -> None:
        lines = [
            "**bold** and `a*b`",
            "- item <b>x</b>",
            "  1. inner",
            "",
            "# title",
            "<img src=x onerror=alert>",
            "```py",
            "<script>",
            "```",
        ]
        self.ask("\n".join(lines))
        wait_until(lambda: len(self.answers()) == 1, "there is an answer")
        self.assertEqual(self.browser.texts(".answer strong"), ["bold"])
        self.assertEqual(self.browser.texts(".answer p code"), ["a*b"])
        self.assertEqual(self.browser.texts(".answer ul > li > ol > li"), ["inner"])
        self.assertEqual(self.browser.texts(".answer .heading"), ["title"])
        self.assertEqual(self.browser.texts(".answer pre"), ["<script>"])
        self.assertIn("item <b>x</b>", self.answers()[0])
        self.assertIn("<img src=x onerror=alert>", self.answers()[0])
        for name in ("b", "img", "script"):
            self.assertEqual(self.browser.elements(f"#conversation {name}"), [])
        self.assertEqual(self.browser.complaints(), [])

    def test_images_where_the_model_takes_them(self) -> None:
        self.browser.wait_for("#model option")
        self.assertFalse(self.browser.element("#attach").is_displayed())
        self.open_with(TAKE_IMAGES)
        self.browser.wait_for("#model option")
        self.assertTrue(self.browser.element("#attach").is_displayed())
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(PIXEL)
            file.flush()
            self.browser.element("#files").send_keys(file.name)
            self.browser.wait_for("#images img")
        # Dropped and pasted ones, as the browser hands them over.
        self.browser.run(
            """
            const bytes = Uint8Array.from(arguments[0]);
            const files = new DataTransfer();
            files.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
            document.body.dispatchEvent(
                new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
            question.dispatchEvent(
                new ClipboardEvent("paste", {clipboardData: files, cancelable: true}));""",
            list(PIXEL),
        )
        wait_until(lambda: len(self.browser.elements("#images img")) == 3, "there are three")
        self.browser.element("#images button").click()
        self.assertEqual(len(self.browser.elements("#images img")), 2)
        self.sent()
        self.ask("What is it?")
        calls: list[dict[str, Any]] = []
        wait_until(lambda: bool(calls.extend(self.sent()) or calls), "it is sent")
        image, other, text = calls[0]["messages"][0]["content"]
        self.assertEqual(text, {"type": "text", "text": "What is it?"})
        self.assertEqual(image, other)
        self.assertTrue(image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0K"))

    def test_everybody_can_use_it(self) -> None:
        dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(20, 22, 25)'"
        for scheme in ("light", "dark"):
            with self.subTest(scheme):
                self.open(self.server)
                self.browser.wait_for("#model option")
                self.browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
                wait_until(
                    lambda: self.browser.run(dark) == (scheme == "dark"), f"the page is {scheme}"
                )
                self.assertEqual(self.browser.violations(), [])
                self.ask("(hm)`code` and **bold**")
                self.wait_for_answers("code and bold")
                moves = "return getComputedStyle(document.querySelector('.turn')).animationName"
                self.assertEqual(self.browser.run(moves), "none")
                self.assertEqual(self.browser.violations(), [])
                self.browser.element("#open-settings").click()
                self.assertEqual(self.browser.violations(), [])

    def test_a_small_screen_holds_it(self) -> None:
        size = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
        self.browser.command("Emulation.setDeviceMetricsOverride", **size)
        self.addCleanup(self.browser.command, "Emulation.clearDeviceMetricsOverride")
        self.ask("`" + "long" * 40 + "` " + "word" * 40)
        wait_until(lambda: len(self.answers()) == 1, "there is an answer")
        self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), 320)
        self.browser.element("#open-settings").click()
        self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), 320)

    def test_the_demo_model_and_what_the_server_does(self) -> None:
        with Server() as server:
            self.open(server)
            self.browser.wait_for("#only-model:not(:empty)")
            river = self.browser.element("#examples button")
            river.click()
            self.wait_for_answers("A river is a large natural stream of water.")
            rate = self.browser.element("#metrics [data-metric=rate]")
            wait_until(lambda: rate.text not in ("–", "0"), "tokens are counted")
            self.assertRegex(rate.text, r"^\d+(\.\d)?$")
            shown = dict(zip(self.browser.texts("#metrics dt"), self.browser.texts("#metrics dd")))
            self.assertEqual(list(shown), ["tokens/s", "KV cache", "running", "queued"])
            self.assertRegex(shown["KV cache"], r"^\d+(\.\d)? %$")
            self.assertRegex(shown["queued"], r"^\d+$")
            running = self.browser.element("#metrics [data-metric=running]")
            wait_until(lambda: running.text == "0", "nothing runs")


if __name__ == "__main__":
    unittest.main()
