"""outside_plugin: a plugin that is built as its author would build it, with a compiler and sdk/ alone."""

load("//third_party/rust:rust.bzl", "rust_shared_library")

def outside_plugin(name, language = "cc"):
    """Builds lib<name>.so, and checks it.

    C and C++ by the commands of docs/plugin-authoring.md, Rust by cargo.

    Args:
      name: of the plugin; its folder's.
      language: "c" and "cc": the source is <name>.c or <name>.cc; "rust": the folder is a crate.
    """
    library = "lib%s.so" % name
    if language == "rust":
        rust_shared_library(
            name = name,
            srcs = native.glob(["src/**/*.rs"]) + [
                "Cargo.lock",
                "Cargo.toml",
                "//sdk/rust",
            ],
            cargo = "@text_crates//:cargo.sh",
            crate = name,
            manifest = "Cargo.toml",
            visibility = ["//tests:__subpackages__"],
        )
    else:
        _compiled(name, "%s.%s" % (name, language), library)
    native.sh_test(
        name = name + "_check",
        size = "small",
        srcs = ["//sdk/validate"],
        args = ["$(rootpath %s)" % library],
        data = [library],
    )
    native.filegroup(
        name = "sources",
        srcs = native.glob(["*.c", "*.cc", "src/**/*.rs", "Cargo.*"]),
        visibility = ["//sdk/dist:__pkg__"],
    )
    native.filegroup(
        name = "testdata",
        srcs = native.glob(["testdata/**"]),
        visibility = ["//tests:__subpackages__"],
    )

def _compiled(name, source, library):
    build = "//sdk/examples:build.sh"
    native.genrule(
        name = name,
        srcs = [
            source,
            "//docs:plugin-authoring.md",
            "//sdk:plugin.lds",
            "//sdk/abi:headers",
            "//sdk/keel:headers",
        ],
        outs = [library],
        cmd = "$(location %s) $(location //docs:plugin-authoring.md) . $(location %s) $@" %
              (build, source),
        tools = [build],
        visibility = ["//tests:__subpackages__"],
    )
