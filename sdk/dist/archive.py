"""Writes keel-sdk-<version>.tar.gz: what authors of plugins need, without the rest of Keel.

archive.py OUTPUT VALIDATOR FILE...: each FILE is a path in Keel's tree and says by itself where it
goes; see place().
"""

import gzip
import io
import os
import re
import subprocess
import sys
import tarfile

# Libraries of the C library and the compiler are every Debian's, and must be the machine's own.
SYSTEM = re.compile(r"(ld-linux|libc|libm|libdl|libpthread|librt|libgcc_s|linux-vdso)\b.*\.so")


def place(path):
    """Where a file of the tree goes in the archive."""
    renamed = {
        "sdk/dist/keel-new": "bin/keel-new",
        "sdk/dist/README.md": "README.md",
        "sdk/dist/root.WORKSPACE": "WORKSPACE",
        "sdk/dist/root.BUILD": "BUILD",
        "sdk/dist/sdk.BUILD": "sdk/BUILD",
        "sdk/dist/abi.BUILD": "sdk/abi/BUILD",
        "sdk/dist/keel.BUILD": "sdk/keel/BUILD",
        "sdk/dist/validate.BUILD": "sdk/validate/BUILD",
    }
    path = os.path.normpath(path)
    if path in renamed:
        return renamed[path]
    path = re.sub(r"^sdk/template/", "template/", path)
    path = re.sub(r"^external/", "bazel/", path)  # see template/project.WORKSPACE
    return path.replace("/testdata/default/config.json", "/config.json")


EMPTY = [
    "bazel/remote_coverage_tools/WORKSPACE",
    "bazel/rules_cc/WORKSPACE",
    "bazel/rules_cc/BUILD",
    "bazel/rules_cc/cc/BUILD",
    "bazel/rules_java/WORKSPACE",
    "bazel/rules_java/BUILD",
    "bazel/rules_java/java/BUILD",
]


def version():
    """MAJOR.MINOR of the plugin ABI, which is what an author builds against."""
    with open("sdk/abi/plugin.h", encoding="utf-8") as file:
        numbers = re.findall(r"#define KEEL_ABI_(?:MAJOR|MINOR) (\d+)u", file.read())
    return ".".join(numbers)


def libraries(program):
    """The shared libraries that a program needs, as ldd finds them, without the system's."""
    out = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, path in re.findall(r"^\s*(\S+) => (\S+)", out, re.MULTILINE):
        if path == "not":
            sys.exit(f"{program}: {name} is not found")
        if not SYSTEM.match(os.path.basename(name)):
            yield name, os.path.realpath(path)


def main(output, validator, paths):
    root = f"keel-sdk-{version()}"
    files = {
        place(path): (path, os.access(path, os.X_OK) and not path.endswith(".h")) for path in paths
    }
    files["bin/keel-validate"] = (validator, True)
    files.update({name: (os.devnull, False) for name in EMPTY})
    for name, path in libraries(validator):
        files[f"lib/{name}"] = (path, False)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (path, executable) in sorted(files.items()):
            info = tarfile.TarInfo(f"{root}/{name}")
            with open(path, "rb") as file:
                data = file.read()
            info.size = len(data)
            info.mode = (
                0o755
                if executable
                and not name.endswith((".c", ".cc", ".json", ".lock", ".md", ".rs", ".toml"))
                else 0o644
            )
            tar.addfile(info, io.BytesIO(data))
    with open(output, "wb") as file:  # no time and no name in it: the same bytes each time
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            packed.write(buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
