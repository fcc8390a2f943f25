"""Manifests for Kubernetes: it takes them, and the programs have what they name."""

import pathlib
import re
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from typing import Any

import kubernetes_env  # noqa: F401, I001
import kubernetes_validate
import yaml

from tests.batch import runner
from tests.server import serving

FOLDER = pathlib.Path("apps/keel/deploy/kubernetes")
KUBERNETES = "1.37"
# Of tools whose schemas Kubernetes does not have.
OTHERS = ("Kustomization", "ScaledObject")


def documents(pattern: str = "*.yaml") -> Iterator[dict[str, Any]]:
    paths = sorted(FOLDER.glob(pattern))
    assert paths, pattern
    for path in paths:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    return {doc["metadata"]["name"]: doc for doc in documents() if doc.get("kind") in kinds}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(workload)["containers"]
    return only


def flags(arguments: list[str]) -> dict[str, str]:
    return dict(a.split("=", 1) for a in arguments if a.startswith("--") and "=" in a)


SERVERS = of_kind("Deployment", "StatefulSet")


class DeployTest(unittest.TestCase):
    def test_kubernetes_takes_them(self) -> None:
        checked = 0
        for document in documents():
            if document["kind"] in OTHERS:
                continue
            with self.subTest(document["kind"], name=document["metadata"]["name"]):
                kubernetes_validate.validate(document, KUBERNETES, strict=True)
                checked += 1
        self.assertEqual(checked, 9)

    def test_what_they_name_of_each_other_is_there(self) -> None:
        (kustomization,) = documents("kustomization.yaml")
        apart = {"kustomization.yaml", "scaled-object.yaml", "batch-job.yaml"}
        files = {path.name for path in FOLDER.glob("*.yaml")}
        self.assertEqual(set(kustomization["resources"]), files - apart)
        claims = of_kind("PersistentVolumeClaim")
        for name, workload in {**SERVERS, **of_kind("Job")}.items():
            with self.subTest(name):
                templates = workload["spec"].get("volumeClaimTemplates", [])
                volumes = {volume["name"] for volume in pod(workload)["volumes"]}
                volumes |= {template["metadata"]["name"] for template in templates}
                mounts = {mount["name"] for mount in container(workload)["volumeMounts"]}
                self.assertEqual(mounts, volumes)
                for volume in pod(workload)["volumes"]:
                    if "persistentVolumeClaim" in volume:
                        self.assertIn(volume["persistentVolumeClaim"]["claimName"], claims)
        services = of_kind("Service")
        self.assertEqual(services.keys(), SERVERS.keys())
        for name, workload in SERVERS.items():
            labels = workload["spec"]["template"]["metadata"]["labels"]
            self.assertEqual(workload["spec"]["selector"]["matchLabels"], labels)
            self.assertEqual(services[name]["spec"]["selector"], labels)
            (port,) = container(workload)["ports"]
            self.assertEqual(services[name]["spec"]["ports"][0]["targetPort"], port["name"])
        (budget,) = of_kind("PodDisruptionBudget").values()
        (scaled,) = of_kind("ScaledObject").values()
        for target in (budget["metadata"]["name"], scaled["spec"]["scaleTargetRef"]["name"]):
            self.assertEqual(SERVERS[target]["kind"], "Deployment")

    def test_a_pod_lives_until_its_calls_have_ended(self) -> None:
        for name, workload in SERVERS.items():
            given = flags(container(workload)["args"])
            needed = int(given["--drain-seconds"]) + int(given.get("--shutdown-delay-seconds", 0))
            self.assertGreater(pod(workload)["terminationGracePeriodSeconds"], needed, name)

    def test_servers_take_the_flags_and_answer_the_probes(self) -> None:
        (scaled,) = of_kind("ScaledObject").values()
        (metric,) = re.findall(r"vllm:\w+", scaled["spec"]["triggers"][0]["metadata"]["query"])
        for name, workload in SERVERS.items():
            command, _, *arguments = container(workload)["args"]
            self.assertEqual(command, "serve")
            given = flags(arguments)
            (port,) = container(workload)["ports"]
            self.assertEqual(given.pop("--port"), str(port["containerPort"]))
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                if "--files-dir" in given:
                    given["--files-dir"] = folder
                here = [f"{flag}={value}" for flag, value in given.items()]
                with serving.Server(*here) as server:
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                        get = container(workload)[probe]["httpGet"]
                        self.assertEqual(get["port"], port["name"])
                        self.assertEqual(server.get(get["path"]).status, 200)
                    notes = workload["spec"]["template"]["metadata"]["annotations"]
                    self.assertEqual(notes["prometheus.io/port"], str(port["containerPort"]))
                    self.assertIn(metric, server.get(notes["prometheus.io/path"]).body.decode())

    def test_the_job_takes_its_flags(self) -> None:
        (job,) = of_kind("Job").values()
        command, *arguments = container(job)["args"]
        self.assertEqual(command, "batch")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            runner.write(folder / "prompts.jsonl", [runner.line("a"), runner.bad_line("b")])
            here = [a.replace("=/data/", f"={folder}/") for a in arguments if "--model" not in a]
            for _ in range(2):  # as after a restart
                ended = runner.run(*here)
                self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(runner.ids(runner.read(folder / "answers.jsonl")), ["a"])
            self.assertEqual(runner.ids(runner.read(folder / "errors.jsonl")), ["b"])

    def test_the_image_has_the_program(self) -> None:
        dockerfile = (FOLDER.parent / "Dockerfile").read_text(encoding="utf-8")
        self.assertIn('ENTRYPOINT ["keel"]', dockerfile)
        (kustomization,) = documents("kustomization.yaml")
        (image,) = kustomization["images"]
        for workload in SERVERS.values():
            self.assertEqual(container(workload)["image"], image["name"])
        (job,) = of_kind("Job").values()
        self.assertEqual(container(job)["image"], f"{image['newName']}:{image['newTag']}")
        version = subprocess.run(
            [serving.PROGRAM, "--version"], capture_output=True, text=True, check=True
        )
        self.assertIn(image["newTag"], version.stdout)


if __name__ == "__main__":
    unittest.main()
