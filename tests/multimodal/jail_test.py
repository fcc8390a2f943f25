"""Checkpoints that bring a processor: over HTTP, in a jail, it answers as the trusted one does, and
what it does wrong costs its own request an error."""

import base64
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import unittest
from typing import Any

from tests.multimodal.goldens import Goldens, png
from tests.server.serving import Response, Server, run_to_end

GOLDENS = Goldens("plugins/llava/testdata/default")
LLAVA = pathlib.Path("plugins/llava/libllava.so")
MISLEADS = pathlib.Path("tests/plugins/hostile/libmisleads.so")
TRUSTED = ("--trust-remote-code",)


def checkpoint(library: pathlib.Path, graph: pathlib.Path | None = None) -> pathlib.Path:
    """A copy of the goldens' with a library of its own."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
    model = folder / "model"
    shutil.copytree(GOLDENS.directory, model, copy_function=shutil.copyfile)
    artifacts: list[dict[str, str]] = [
        {"kind": "so", "os": "linux", "arch": platform.machine(), "path": library.name}
    ]
    if graph is not None:
        artifacts.append({"kind": "graph", "path": graph.name})
    for artifact, source in zip(artifacts, (library, graph)):
        assert source is not None
        shutil.copyfile(source, model / source.name)
        artifact["sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    manifest = {
        "id": "org.example.brought",
        "version": "1.0",
        "architectures": ["LlavaForConditionalGeneration"],
        "artifacts": artifacts,
    }
    (model / "keel_plugin.json").write_text(json.dumps(manifest), encoding="utf-8")
    return model


def misled() -> pathlib.Path:
    """One whose processor is the hostile one; its model is the operator's plugin's."""
    model = checkpoint(MISLEADS)
    config = json.loads((model / "processor_config.json").read_text(encoding="utf-8"))
    config["processor_class"] = "MisleadingProcessor"
    (model / "processor_config.json").write_text(json.dumps(config), encoding="utf-8")
    return model


def environment() -> dict[str, str]:
    """Without the plugins of the installation, which would come before the checkpoint's."""
    return {"KEEL_PLUGIN_DIR": tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])}


def serve(test: unittest.TestCase, model: pathlib.Path, *flags: str) -> Server:
    server = Server(
        *("--model", str(model), "--served-model-name", "see", *flags),
        *("--kv-cache-memory-bytes", "8MiB", "--weight-cache", "off"),
        env=environment(),
    )
    test.addCleanup(server.stop)
    return server


def image(height: int, width: int, rgb: bytes) -> dict[str, Any]:
    data = base64.b64encode(png(height, width, rgb)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def ask(server: Server, content: list[dict[str, Any]], tokens: int = 32) -> Response:
    return server.post(
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": tokens,
            "ignore_eos": True,
            "return_token_ids": True,
        },
    )


def golden(chat: str) -> list[dict[str, Any]]:
    """Its parts."""
    parts = []
    for part in GOLDENS.chats[chat]:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        else:
            of = GOLDENS.images[part]
            parts.append(image(of.height, of.width, of.rgb))
    return parts


class BroughtProcessorTest(unittest.TestCase):
    def expect_goldens(self, server: Server) -> None:
        for chat in GOLDENS.chats:
            with self.subTest(chat=chat):
                (choice,) = ask(server, golden(chat)).json()["choices"]
                self.assertEqual(choice["token_ids"], GOLDENS.greedy(chat))

    def test_in_a_jail_it_answers_as_the_trusted_one(self) -> None:
        server = serve(self, checkpoint(LLAVA), *TRUSTED)
        self.expect_goldens(server)
        info = server.get("/info").json()
        self.assertIn("libllava.so, the checkpoint, jailed", str(info))
        self.assertEqual(info["modalities"], ["text", "image"])
        bad = ask(server, [image(1, 30_000, bytes(90_000))]).error()
        self.assertIn("LlavaProcessor", bad["message"])
        self.assertEqual(bad["param"], "messages[0].content[0]")

    def test_beside_a_graph_it_needs_leave_and_text_does_not(self) -> None:
        own = checkpoint(LLAVA)
        graph = own.parent / "llava.graph"
        subprocess.run(
            ["apps/plugin/plugin", "export-graph", own, "--output", graph, "--no-manifest"],
            env={**os.environ, **environment()},
            check=True,
            timeout=60,
        )
        model = checkpoint(LLAVA, graph)
        allowed = serve(self, model, *TRUSTED)
        self.assertIn("llava.graph, the checkpoint, data", str(allowed.get("/info").json()))
        self.expect_goldens(allowed)
        unasked = serve(self, model)
        self.assertEqual(ask(unasked, golden("text")).status, 200)
        refusal = ask(unasked, golden("one"))
        self.assertEqual(refusal.status, 400)
        self.assertIn("it reads text alone", refusal.error()["message"])
        warnings = str(unasked.get("/info").json()["warnings"])
        self.assertIn("libllava.so, which comes with the checkpoint", warnings)

    def test_it_reads_no_file_outside_of_the_checkpoint(self) -> None:
        model = checkpoint(LLAVA)
        path = model / "processor_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        outside = model.parent / "preprocessor_config.json"
        outside.write_text(json.dumps(config.pop("image_processor")), encoding="utf-8")
        path.write_text(json.dumps(config), encoding="utf-8")
        (model / outside.name).symlink_to(outside)
        ended = run_to_end("--model", str(model), *TRUSTED, env=environment())
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("preprocessor_config.json: is a link that leads out of", ended.stderr)

    def test_check_says_where_it_runs(self) -> None:
        for flags, words in (
            (TRUSTED, "LlavaProcessor of libllava.so, in a jail; takes images"),
            ((), "LlavaProcessor of libllava.so, which comes with the checkpoint and is not run"),
        ):
            check = subprocess.run(
                ["apps/check/check", checkpoint(LLAVA), *flags],
                env={**os.environ, **environment()},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertIn(words, " ".join(check.stdout.split()))


class HostileProcessorTest(unittest.TestCase):
    def test_each_harm_is_answered_by_name_and_the_server_goes_on(self) -> None:
        server = serve(self, misled(), "--plugin-path", str(LLAVA), *TRUSTED)
        for height, words in (
            (13, "plugin libmisleads.so: in its jail, it crashes (Segmentation fault)"),
            (15, "of libmisleads.so: image 0 of the request: 16 tokens without a break"),
            (16, "of libmisleads.so: count gives 16 tokens, of them 0 for features"),
            (17, "libmisleads.so: in its jail, it calls socket, which a jail does not allow"),
            (18, "encode/image: input 'pixel_values' is float32 [1, 3, 28, 28], expected"),
            (19, "encode/image: input 'pixel_values' is missing"),
            (20, "segments are of rows [0, 1073741824), expected all 17"),
            (21, "segments are of rows [0, 16), expected all 17"),
            (22, "the encoder gives 32 features, the processor counted 16"),
            (14, "plugin libmisleads.so: in its jail, it takes "),
        ):
            with self.subTest(words):
                response = ask(server, [image(height, 8, bytes(height * 24))], 4)
                self.assertEqual(response.status, 500)
                self.assertIn(words, response.error()["message"])
                self.assertIn("libmisleads.so", response.error()["message"])
                self.assertEqual(ask(server, [image(8, 8, bytes(192))], 4).status, 200)
        self.assertEqual(ask(server, golden("text")).status, 200)


if __name__ == "__main__":
    unittest.main()
