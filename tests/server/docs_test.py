"""The examples of README.md and docs/ do what they say."""

import json
import pathlib
import re
import shlex
import subprocess
import unittest

from tests.server import checkpoints
from tests.server.serving import PROGRAM, Server

PAGES = (pathlib.Path("README.md"), *sorted(pathlib.Path("docs").glob("*.md")))
OUTSIDE = pathlib.Path("sdk/examples/granite").absolute()
ANSWER = "A river is a large natural stream of water."


def code_blocks(page: pathlib.Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


class ReadmeTest(unittest.TestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def run_curl(self, command: str) -> None:
        curl = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
        )
        choice = json.loads(curl.stdout)["choices"][0]
        self.assertEqual(choice["message"]["content"], ANSWER)

    def test_the_curl_of_the_readme(self) -> None:
        (command,) = [b for b in code_blocks(PAGES[0]) if b.startswith("curl ")]
        port = self.server.port
        self.run_curl(command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        # The server's first line is that curl.
        words = shlex.split(command.replace("\\\n", ""))
        first = shlex.split(self.server.first_line)
        self.assertEqual(json.loads(words.pop()), json.loads(first.pop()))
        self.assertEqual(words[1].replace(":8000", f":{port}"), first[1])
        self.assertEqual(words[2:], first[2:])

    def test_the_curls_of_the_server_page(self) -> None:
        curls = [b for b in code_blocks(pathlib.Path("docs/server.md")) if b.startswith("curl ")]
        self.assertTrue(curls)
        for command in curls:
            with self.subTest(command):
                here = command.replace("127.0.0.1:8000", f"127.0.0.1:{self.server.port}")
                curl = subprocess.run(
                    ["bash", "-c", here.replace("curl ", "curl --fail-with-body -sS ", 1)],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                self.assertEqual(curl.returncode, 0, curl.stdout + curl.stderr)
                self.assertTrue(json.loads(curl.stdout))

    def test_the_first_line(self) -> None:
        self.run_curl(self.server.first_line)


class FlagsTest(unittest.TestCase):
    def test_the_flags_of_the_examples_are_the_servers(self) -> None:
        known = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
        shown = set()
        for page in PAGES:
            for line in "".join(code_blocks(page)).replace("\\\n", " ").splitlines():
                command = line.split(" # ")[0]
                if "//apps:server -- " in command:
                    shown.update(re.findall(r"--[a-z]\S+", command.split(" -- ")[1]))
        self.assertGreaterEqual(shown, {"--model", "--plugin-path"})
        for flag in shown:
            self.assertIn(flag, known.stdout)


class PluginAuthoringTest(unittest.TestCase):
    """The library was built by the page's own command (sdk/examples/build.sh)."""

    def test_a_plugin_from_outside_is_served(self) -> None:
        model = OUTSIDE / "testdata/default"
        flags = ("--model", str(model), "--plugin-path", str(OUTSIDE / "libgranite.so"))
        with Server(*flags) as server:
            plugin = server.get("/info").json()["plugin"]
            self.assertIn("org.example.granite", plugin)
            self.assertIn("libgranite.so, --plugin-path", plugin)
            goldens = model / "goldens.safetensors"
            body = {
                "prompt": checkpoints.read_ids(goldens, "prompt_7"),
                "max_tokens": 32,
                "temperature": 0,
                "ignore_eos": True,
                "return_token_ids": True,
            }
            choice = server.post("/v1/completions", body).json()["choices"][0]
            self.assertEqual(choice["token_ids"], checkpoints.read_ids(goldens, "greedy_7"))


if __name__ == "__main__":
    unittest.main()
