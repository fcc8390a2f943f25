"""A static C library written in Rust: crates are downloaded when a repository is fetched, pinned by
Cargo.lock, so that the build itself needs no network."""

def _cargo(ctx):
    """The first cargo that is new enough: /usr/local's, rustup's, or Debian's cargo-web.

    Not the one on the user's PATH, which .bazelrc keeps out of the build; ./bazelw looks in the same
    places."""
    found = []
    for directory in ["/usr/local/bin", ctx.os.environ["HOME"] + "/.cargo/bin", "/usr/bin"]:
        cargo = ctx.path(directory + "/cargo")
        if cargo.exists:
            version = ctx.execute([cargo, "--version"]).stdout.strip()
            found.append("%s is '%s'" % (cargo, version))
            numbers = version.partition(" ")[2].split(".")
            if len(numbers) > 1 and (int(numbers[0]), int(numbers[1])) >= (1, 85):
                return cargo
    fail("rust: needs cargo 1.85 or later (%s); ./bazelw installs it, or apt install cargo-web" %
         (", ".join(found) or "there is none"))

def _crates_repository_impl(ctx):
    cargo = _cargo(ctx)
    manifest = ctx.path(ctx.attr.manifest)
    ctx.path(ctx.attr.lock)
    result = ctx.execute(
        [cargo, "vendor", "--locked", "--quiet", "--versioned-dirs", "--manifest-path", manifest, "vendor"],
        timeout = 3600,
    )
    if result.return_code:
        fail("rust: cargo could not download the crates of %s: %s" % (manifest, result.stderr))

    # Finds its folder itself, so that every output base has the same file and caches hit.
    ctx.file("cargo.sh", """#!/bin/bash
# Cargo with the vendored crates only.
vendor=$(dirname "$(readlink -f "$0")")/vendor
export CARGO_HOME=$PWD/cargo_home HOME=%s PATH=%s:$PATH
exec cargo --offline --config 'source.crates-io.replace-with="vendored"' \\
    --config "source.vendored.directory=\\"$vendor\\"" "$@"
""" % (ctx.os.environ["HOME"], cargo.dirname))
    ctx.file("BUILD", """exports_files(["cargo.sh"])""")

crates_repository = repository_rule(
    implementation = _crates_repository_impl,
    attrs = {
        "manifest": attr.label(allow_single_file = True, mandatory = True, doc = "Cargo.toml"),
        "lock": attr.label(allow_single_file = True, mandatory = True, doc = "Cargo.lock"),
    },
)

def rust_static_library(name, crate, cargo, srcs, hdrs, linkopts = [], **kwargs):
    """Declares a cc_library over a Rust crate of type staticlib.

    Args:
      name: of the cc_library.
      crate: the crate's name in Cargo.toml.
      cargo: the cargo.sh of its crates_repository.
      srcs: Cargo.toml, Cargo.lock and the Rust sources.
      hdrs: the C header of the crate.
      linkopts: system libraries that the Rust side uses.
      **kwargs: visibility and the like.
    """
    native.genrule(
        name = name + "_cargo",
        srcs = srcs,
        outs = ["lib%s.a" % crate],
        cmd = ("$(location %s) build --release --locked --quiet --target-dir target" % cargo +
               " --manifest-path %s/Cargo.toml" % native.package_name() +
               " && cp target/release/lib%s.a $@" % crate),
        exec_tools = [cargo],
        message = "Building Rust crate",
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = ["lib%s.a" % crate],
        hdrs = hdrs,
        linkopts = linkopts,
        **kwargs
    )

def rust_shared_library(name, crate, cargo, manifest, srcs, visibility = None):
    """Builds the lib<crate>.so of a crate of type cdylib.

    Args:
      name: of the target.
      crate: the crate's name in its Cargo.toml.
      cargo: the cargo.sh of a crates_repository; crates that the manifest names must be in it.
      manifest: the crate's Cargo.toml.
      srcs: it, its Cargo.lock and the Rust sources, those of crates that it names by path included.
      visibility: of the library.
    """
    native.genrule(
        name = name,
        srcs = srcs,
        outs = ["lib%s.so" % crate],
        cmd = ("$(location %s) build --release --locked --quiet --target-dir target" % cargo +
               " --manifest-path $(location %s)" % manifest +
               " && cp target/release/lib%s.so $@" % crate),
        exec_tools = [cargo],
        message = "Building Rust crate",
        visibility = visibility,
    )
