#!/usr/bin/env python3
"""Writes requirements.lock: the packages of requirements.in and what they need, by version and
hash.

torch itself is left out, and with it the packages of CUDA that it would bring.
"""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary=:all:", "--report=-", "--requirement", str(HERE / "requirements.in")]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    lines = ["# By third_party/transformers/lock.py, from requirements.in."]
    for item in sorted(report["install"], key=lambda item: item["metadata"]["name"].lower()):
        name, version = item["metadata"]["name"].lower(), item["metadata"]["version"]
        sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    (HERE / "requirements.lock").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
