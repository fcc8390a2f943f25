"""Libraries that stand for CUDA's, so that Python's torch can be imported where those are not.

libtorch_python.so is linked to libtorch_cuda.so, cuDNN and cuFile, 4 GB with all that they need. On
a CPU nothing of them is called but one function, while the library is loaded. A stub has the names,
and ends the process where one is called.
"""

import pathlib
import re
import subprocess

STUBS = ["libtorch_cuda.so", "libcudnn.so.9", "libcufile.so.0"]
# Called while libtorch_python.so is loaded: returns a reference to a pointer, which is written
# then.
RETURNS = {"_ZN4c10d15get_gil_checkerEv"}
# Where the loader finds the system's own libraries.
SYSTEM = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libgcc_s.so.1",
          "libstdc++.so.6", "ld-linux-x86-64.so.2"]  # fmt: skip


def make(lib: pathlib.Path, others: list[pathlib.Path]) -> None:
    """Writes the stubs into `lib`, torch's folder of libraries; `others` are libraries that it
    needs besides."""
    wanted = symbols(lib / "libtorch_python.so", "--undefined-only", "U")
    there = [p for p in lib.glob("*.so*") if p.name not in STUBS and p.name != "libtorch_python.so"]
    for library in [*there, *others, *map(system_library, SYSTEM)]:
        wanted -= symbols(library, "--defined-only")
    wanted = sorted(name for name in wanted if not re.match(r"_?Py", name))
    source = lib / "stubs.s"
    source.write_text(assembly(wanted))
    for name in STUBS:
        code = [str(source), "-lstdc++"] if name == STUBS[0] else ["-x", "c", "/dev/null"]
        command = [
            "gcc",
            "-shared",
            "-nostartfiles",
            *code,
            "-o",
            str(lib / name),
            f"-Wl,-soname,{name}",
        ]
        subprocess.run(command, check=True)
    source.unlink()


def symbols(library: pathlib.Path, which: str, kind: str = "") -> set[str]:
    lines = subprocess.run(
        ["nm", "-D", which, str(library)], capture_output=True, text=True, check=True
    ).stdout
    fields = (line.split() for line in lines.splitlines())
    return {f[-1].partition("@")[0] for f in fields if not kind or f[-2] == kind}


def system_library(name: str) -> pathlib.Path:
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return pathlib.Path(found).resolve()


def assembly(names: list[str]) -> str:
    """Functions that trap, and types of C++ (_ZTI...), which Python's bindings ask for their
    name."""
    out = [".local blank\n.comm blank,64,64\n"]
    for name in names:
        if name.startswith("_ZTI"):
            out.append(f".data\n.align 8\n.globl {name}\n.type {name},@object\n.size {name},16\n"
                       f"{name}: .quad _ZTVN10__cxxabiv117__class_type_infoE+16, of_{name}\n"
                       f'.section .rodata\nof_{name}: .asciz "{name[4:]}"\n')  # fmt: skip
        else:
            body = "lea blank(%rip), %rax\n ret" if name in RETURNS else "ud2"
            out.append(f".text\n.globl {name}\n.type {name},@function\n{name}: {body}\n")
    return "".join(out) + '.section .note.GNU-stack,"",@progbits\n'
