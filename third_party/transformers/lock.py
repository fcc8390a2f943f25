#!/usr/bin/env python3
"""Writes requirements.lock: the packages of requirements.in and what they need, by version and
hash.

usage: lock.py [FOLDER] [--without PACKAGE...]

FOLDER is this one unless another is named. torch itself is left out of this one's requirements.in,
and with it the packages of CUDA that it would bring.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=HERE)
    parser.add_argument("--without", nargs="*", default=[])
    args = parser.parse_args()
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary=:all:", "--report=-"]
    command += ["--requirement", str(args.folder / "requirements.in")]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    lines = ["# By third_party/transformers/lock.py, from requirements.in."]
    for item in sorted(report["install"], key=lambda item: item["metadata"]["name"].lower()):
        name, version = item["metadata"]["name"].lower(), item["metadata"]["version"]
        if name.replace("_", "-") in args.without:
            continue
        sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    (args.folder / "requirements.lock").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
