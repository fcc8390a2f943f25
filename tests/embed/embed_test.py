"""The programs of docs/embedding.md, built and run by its commands, answer as transformers does."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path.cwd()
LIBRARY = ROOT / "core/capi/libkeel.so.0"
MODEL = ROOT / "apps/demo/model"


def command_of(page: str, program: str) -> str:
    """The command of a page's code blocks that begins with `program`."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    (command,) = [block for block in blocks if block.startswith(program + " ")]
    return command


class EmbedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        line = (ROOT / "apps/demo/testdata/greedy.jsonl").read_text().splitlines()[0]
        golden = json.loads(line)
        cls.question, cls.answer = golden["messages"][0]["content"], golden["text"]

    def run_in(self, folder: str, command: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "KEEL": str(ROOT),
            "KEEL_LIB": str(LIBRARY.parent),
            "KEEL_PLUGIN_DIR": str(ROOT / "plugins"),
        }
        return subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def answer_of(self, folder: str, command: str) -> str:
        run = self.run_in(folder, command)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout.strip()

    def asking(self, command: str) -> str:
        self.assertIn("apps/demo/model", command)
        return command.replace("apps/demo/model", str(MODEL)).replace(
            "Define: river", self.question
        )

    def test_c(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            built = self.run_in(folder, command_of("docs/embedding.md", "cc"))
            self.assertEqual((built.returncode, built.stderr), (0, ""))
            command = self.asking(command_of("docs/embedding.md", "./embed"))
            self.assertEqual(self.answer_of(folder, command), self.answer)
            refused = self.run_in(folder, "./embed /no/model hello")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("/no/model", refused.stderr)

    def test_python(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = self.asking(command_of("docs/embedding.md", "python3"))
            self.assertEqual(self.answer_of(folder, command), self.answer)
            refused = self.run_in(folder, command.replace(str(MODEL), "/no/model"))
            self.assertEqual(refused.returncode, 1)
            self.assertIn("/no/model", refused.stderr)

    def test_rust(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            cargo = str(ROOT.parent / "text_crates/cargo.sh")  # the build's own, without network
            command = command_of("docs/embedding.md", "cargo").replace("cargo", cargo, 1)
            built = self.run_in(folder, command)
            self.assertEqual(built.returncode, 0, built.stderr)
            self.assertNotIn("warning", built.stderr)
            command = self.asking(command_of("docs/embedding.md", "target/release/embed"))
            self.assertEqual(self.answer_of(folder, command), self.answer)

    def test_the_library_has_a_name_and_versions(self) -> None:
        def lines_of(*command: str) -> list[str]:
            return subprocess.check_output([*command, LIBRARY], text=True).splitlines()

        (soname,) = [line for line in lines_of("readelf", "-d") if "(SONAME)" in line]
        self.assertIn("[libkeel.so.0]", soname)
        exported = [line.split()[-1] for line in lines_of("nm", "-D", "--defined-only")]
        names = {name for name in exported if "keel" in name.lower() and name != "KEEL_0"}
        header = (ROOT / "sdk/abi/engine.h").read_text()
        declared = set(re.findall(r"^KEEL_ENGINE_API [^;(]*?(keel_\w+)\(", header, re.MULTILINE))
        self.assertGreater(len(declared), 40)
        self.assertEqual(names, {f"{name}@@KEEL_0" for name in declared})


if __name__ == "__main__":
    unittest.main()
