#!/usr/bin/env python3
"""Finds libtorch, downloading it if it must, and says where it is.

usage: fetch.py [FILE]     writes to FILE {"include": directory, "libraries": {file name: path},
                           "packages": the directory that Python imports torch from, null if none}

The first of these that there is:
  1. $KEEL_LIBTORCH, a directory with include/ and lib/;
  2. the `torch` of this Python, if it is the pinned version;
  3. the wheels of wheels.lock, kept unpacked in ~/.cache/keel, only the parts that Keel uses.

`libraries` is libtorch_cpu.so with what it needs beyond the system's own; none of CUDA's kernels.
"""

import fnmatch
import glob
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

import cuda_stubs

LOCK = pathlib.Path(__file__).resolve().parent / "wheels.lock"
VERSION = re.search(r"^torch==(\S+)", LOCK.read_text(), re.MULTILINE).group(1)

# The parts of the wheels that are unpacked. The other headers are copies of libraries that Keel
# takes from Debian, in other versions.
MEMBERS = [
    "torch/include/ATen/*",
    "torch/include/c10/*",
    "torch/include/caffe2/*",
    "torch/include/torch/*",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp*",
    # Python's torch, which tests of the exporter run (third_party/transformers).
    "torch/*.py",
    "torch/_C.*.so",
    "torch/bin/torch_shm_manager",
    "torch/lib/libc10_cuda.so",
    "torch/lib/libshm.so",
    "torch/lib/libtorch.so",
    "torch/lib/libtorch_global_deps.so",
    "torch/lib/libtorch_python.so",
    "torchgen/*.py",
    "functorch/*.py",
    "torch-*.dist-info/METADATA",
    "nvidia/*/lib/libcudart.so*",
    "nvidia/*/lib/libcupti.so*",
    "*.dist-info/*LICENSE*",
    "*.dist-info/*License*",
]


def main():
    try:
        root = given() or installed() or downloaded()
        if sys.argv[1:]:
            found = {"include": str(root / "include"), "libraries": libraries(root)}
            found["packages"] = str(root.parent) if (root / "__init__.py").exists() else None
            pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
    except Problem as problem:
        sys.exit(f"libtorch: {problem}")


class Problem(Exception):
    """Something that its reader can mend; the text says how."""


def given():
    path = os.environ.get("KEEL_LIBTORCH")
    if not path:
        return None
    root = pathlib.Path(path).resolve()
    found = version(root)
    if found != VERSION:
        raise Problem(
            f"KEEL_LIBTORCH is {path}, which holds "
            + (f"version {found}" if found else "no include/ and lib/ of libtorch")
            + f"; give it the directory of version {VERSION}, or unset it"
        )
    return root


def installed():
    spec = importlib.util.find_spec("torch")  # found, not imported
    if not spec or not spec.origin:
        return None
    root = pathlib.Path(spec.origin).resolve().parent
    return root if version(root) == VERSION else None


def downloaded():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    home = cache / "keel" / f"libtorch-{VERSION}-python"
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="libtorch-") as work:
            unpacked = download(pathlib.Path(work))
            try:
                unpacked.rename(home)
            except OSError:  # another fetch was first
                if not home.exists():
                    raise
    return home / "torch"


def download(work):
    """Downloads the wheels into `work` and unpacks them there; returns where."""
    size = "about 0.6 GB, once"
    print(f"Downloading libtorch {VERSION} ({size})", file=sys.stderr, flush=True)
    if shutil.disk_usage(work).free < 2 << 30:
        raise Problem(f"{work.parent} has less than 2 GB free, which unpacking needs")
    # The wheels of one Python, whatever runs this: only C++ is taken from them.
    pip = [sys.executable, "-m", "pip"]
    command = pip + ["download", "--no-deps", "--require-hashes", "--requirement", str(LOCK)]
    command += ["--dest", str(work / "wheels"), "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    command += ["--abi=cp311", "--abi=none", "--platform=manylinux_2_28_x86_64"]
    command += ["--platform=manylinux_2_25_x86_64", "--platform=manylinux2014_x86_64"]
    if subprocess.run(pip + ["--version"], capture_output=True).returncode:
        raise Problem(f"{sys.executable} has no pip to download with; apt install python3-pip")
    if subprocess.run(command, stdout=sys.stderr).returncode:
        raise Problem(
            "the download failed, pip says why above; with no network, set KEEL_LIBTORCH to the "
            f"directory of an unpacked libtorch {VERSION}"
        )
    unpacked = work / "unpacked"
    for wheel in sorted((work / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if any(fnmatch.fnmatch(name, pattern) for pattern in MEMBERS):
                    archive.extract(name, unpacked)
        wheel.unlink()
    cuda_stubs.make(unpacked / "torch/lib", list(unpacked.glob("nvidia/*/lib/*.so*")))
    return unpacked


def version(root):
    """The version of the libtorch in `root`, None if it holds none."""
    header = root / "include/torch/headeronly/version.h"
    if not header.exists() or not (root / "lib/libtorch_cpu.so").exists():
        return None
    number = dict(re.findall(r"define TORCH_VERSION_(\w+) (\d+)", header.read_text()))
    return ".".join(number.get(part, "?") for part in ("MAJOR", "MINOR", "PATCH"))


def libraries(root):
    """libtorch_cpu.so and those of its needs that lie beside it or in NVIDIA's wheels."""
    places = [root / "lib", *map(pathlib.Path, glob.glob(str(root.parent / "nvidia/*/lib")))]
    found, wanted = {}, ["libtorch_cpu.so"]
    while wanted:
        name = wanted.pop()
        path = next((place / name for place in places if (place / name).exists()), None)
        if path and name not in found:
            found[name] = str(path)
            wanted += needed(path)
    return dict(sorted(found.items()))


def needed(library):
    dynamic = subprocess.run(
        ["readelf", "--dynamic", "--wide", str(library)], capture_output=True, text=True, check=True
    )
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic.stdout)


if __name__ == "__main__":
    main()
