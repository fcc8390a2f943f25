"""Writes keel's wheel: the package, libkeel.so with what it needs, and the programs.

  wheel.py OUTPUT --licence FILE --python FILE... --lib FILE... --plugin FILE... --bin FILE...

OUTPUT's name says version and platform; whether the files run on that platform is checked. One
wheel fits every Python: the package loads the library by ctypes.

libtorch stays outside: the files find it in the package torch, which pip puts beside keel. Other
libraries that are no part of every Linux come along under names of their own, so that they meet no
other copy in the process.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

TORCH = "2.11"

# Of the C library and the compiler, as PEP 600 lists them; and those that come with torch.
SYSTEM = re.compile(r"(ld-linux.*|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+)\.so\b.*")
OF_TORCH = re.compile(r"(libtorch.*|libc10.*|libgomp)\.so\b.*")

# What a libtorch with CUDA needs itself, and one without does not bring.
NEEDLESS = re.compile(r"(libcudart|libcupti)\.so\b.*")

METADATA = """\
Metadata-Version: 2.1
Name: keel
Version: {version}
Summary: Runs and serves language models on CPUs
License: Apache-2.0
Requires-Python: >=3.10
Requires-Dist: torch=={torch}.*
Requires-Dist: tqdm
Requires-Dist: transformers>=5.15,<6; extra == "export"
Requires-Dist: protobuf>=5; extra == "export"
Requires-Dist: ray[data]; extra == "ray"
Requires-Dist: pyspark>=4; extra == "spark"
Requires-Dist: pandas; extra == "spark"
Requires-Dist: pyarrow; extra == "spark"
Provides-Extra: export
Provides-Extra: ray
Provides-Extra: spark
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: keel\nRoot-Is-Purelib: false\nTag: {tag}\n"
ENTRY_POINTS = "[console_scripts]\nkeel = keel.cli:main\n"

# Where the files of a kind go, and the way from there to the package torch. libtorch itself knows
# where the libraries are that it needs.
FOLDERS = {"lib": "keel/lib", "plugin": "keel/lib/plugins", "bin": "keel/bin"}
RUNPATHS = {
    "lib": "$ORIGIN:$ORIGIN/../../torch/lib",
    "bin": "$ORIGIN/../lib:$ORIGIN/../../torch/lib",
}


class Libraries:
    """Copies of the libraries that come along, under names that hold a hash of their bytes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}  # the name that others need: ours
        self.files: list[pathlib.Path] = []
        self.licences: dict[str, pathlib.Path] = {}  # by Debian's package

    def add(self, name: str, path: pathlib.Path) -> str:
        """The new name of a library, which is copied when it is first asked for."""
        if name not in self._names:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
            stem, _, rest = name.partition(".so")
            self._names[name] = f"{stem}-{digest}.so{rest}"
            copy = self._folder / self._names[name]
            shutil.copy(path, copy)
            copy.chmod(0o755)
            self.bring(copy, "lib", path)
            patch(copy, "--set-soname", copy.name)
            self.files.append(copy)
            package, licence = licence_of(path)
            if licence.read_bytes() not in [other.read_bytes() for other in self.licences.values()]:
                self.licences[package] = licence
        return self._names[name]

    def bring(self, file: pathlib.Path, kind: str, origin: pathlib.Path) -> None:
        """Makes `file`, a copy of `origin`, find what it needs in the wheel and in torch."""
        paths = resolved(origin)
        for name in needed(file):
            if NEEDLESS.fullmatch(name):
                patch(file, "--remove-needed", name)
                continue
            if SYSTEM.fullmatch(name) or OF_TORCH.fullmatch(name) or name == "libkeel.so.0":
                continue
            if name not in paths:
                sys.exit(f"wheel: {origin} needs {name}, which is not found")
            patch(file, "--replace-needed", name, self.add(name, paths[name]))
        patch(file, "--set-rpath", RUNPATHS[kind])


def licence_of(library: pathlib.Path) -> tuple[str, pathlib.Path]:
    """The package that a library is from, and its licence, which goes where the library goes."""
    real = library.resolve()
    places = [real, pathlib.Path("/", *real.parts[2:])]  # /usr/lib is known as /lib, too
    for place in places:
        found = subprocess.run(["dpkg-query", "--search", place], capture_output=True, text=True)
        if found.returncode == 0:
            package = found.stdout.split(":")[0]
            return package, pathlib.Path("/usr/share/doc", package, "copyright")
    sys.exit(f"wheel: no Debian package has {library}, so its licence is not known")


def patch(file: pathlib.Path, *arguments: str) -> None:
    subprocess.run(["patchelf", *arguments, file], check=True)


def needed(file: pathlib.Path) -> list[str]:
    """The libraries that a file names."""
    out = subprocess.check_output(["readelf", "--dynamic", "--wide", file], text=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", out)


def resolved(file: pathlib.Path) -> dict[str, pathlib.Path]:
    """Where the loader finds what a file needs, by name."""
    out = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
    return {
        name: pathlib.Path(path) for name, path in re.findall(r"^\s*(\S+) => (/\S+)", out, re.M)
    }


def glibc_of(file: pathlib.Path) -> tuple[int, ...]:
    """The newest C library that a file asks for."""
    out = subprocess.check_output(["readelf", "--version-info", "--wide", file], text=True)
    versions = re.findall(r"Name: GLIBC_([\d.]+)", out)
    return max((tuple(map(int, version.split("."))) for version in versions), default=(0,))


def packed(arguments: argparse.Namespace, work: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of the wheel by their place in it."""
    files = {}
    for path in map(pathlib.Path, arguments.python):
        parts = path.parts
        # From the last folder `keel`: files that a build made lie elsewhere.
        start = len(parts) - 1 - parts[::-1].index("keel")
        files["/".join(parts[start:])] = path
    libraries = Libraries(work)
    for kind, folder in FOLDERS.items():
        for origin in map(pathlib.Path, getattr(arguments, kind)):
            copy = work / f"{kind}-{origin.name}"
            shutil.copy(origin, copy)
            copy.chmod(0o755)
            if kind != "plugin":
                subprocess.run(["strip", "--strip-unneeded", copy], check=True)
                libraries.bring(copy, kind, origin)
            files[f"{folder}/{origin.name}"] = copy
    files.update({f"{FOLDERS['lib']}/{path.name}": path for path in libraries.files})
    files.update({f"licenses/{name}": path for name, path in libraries.licences.items()})
    files["licenses/LICENSE"] = pathlib.Path(arguments.licence)
    return dict(sorted(files.items()))


def check_platform(files: dict[str, pathlib.Path], tag: str) -> None:
    """The tag names the C library, and must not promise an older one than the files need."""
    promised = tuple(map(int, re.search(r"manylinux_(\d+)_(\d+)_", tag).groups()))
    for name, path in files.items():
        if path.read_bytes()[:4] == b"\x7fELF" and glibc_of(path) > promised:
            version = ".".join(map(str, glibc_of(path)))
            sys.exit(f"wheel: {name} needs glibc {version}, more than the wheel's name says: {tag}")


def write(output: pathlib.Path, files: dict[str, pathlib.Path], version: str, tag: str) -> None:
    """The same bytes for the same files."""
    info, record = f"keel-{version}.dist-info", []
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, data: bytes, mode: int = 0o644) -> None:
            entry = zipfile.ZipInfo(name)  # of 1980
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}\n")

        for name, path in files.items():
            data = path.read_bytes()
            if name.startswith("licenses/"):
                name = f"{info}/{name}"
            add(name, data, 0o755 if data[:4] == b"\x7fELF" else 0o644)
        add(f"{info}/METADATA", METADATA.format(version=version, torch=TORCH).encode())
        add(f"{info}/WHEEL", WHEEL.format(tag=tag).encode())
        add(f"{info}/entry_points.txt", ENTRY_POINTS.encode())
        add(f"{info}/RECORD", ("".join(record) + f"{info}/RECORD,,\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--licence", required=True)
    for kind in ("python", *FOLDERS):
        parser.add_argument("--" + kind, nargs="+", default=[])
    arguments = parser.parse_args()
    _, version, tag = arguments.output.stem.split("-", 2)
    with tempfile.TemporaryDirectory() as work:
        files = packed(arguments, pathlib.Path(work))
        check_platform(files, tag)
        write(arguments.output, files, version, tag)


if __name__ == "__main__":
    main()
