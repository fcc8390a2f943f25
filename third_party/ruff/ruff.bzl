"""The repository @ruff: the binary that its Python package carries."""

def _ruff_repository_impl(ctx):
    command = ["python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "ruff==" + ctx.attr.version]
    result = ctx.execute(command, timeout = 600)
    if result.return_code:
        fail("ruff: pip could not download it: " + result.stderr)
    wheel = [path for path in ctx.path(".").readdir() if path.basename.endswith(".whl")][0]
    found = ctx.execute(["sha256sum", wheel]).stdout.partition(" ")[0]
    if found != ctx.attr.sha256:
        fail("ruff: sha256 of %s is %s, expected %s" % (wheel.basename, found, ctx.attr.sha256))
    ctx.symlink(wheel, "wheel.zip")  # by this ending its format is known
    ctx.extract("wheel.zip", "wheel")
    ctx.symlink("wheel/ruff-%s.data/scripts/ruff" % ctx.attr.version, "ruff")
    ctx.execute(["chmod", "+x", "ruff"])
    ctx.file("BUILD", """exports_files(["ruff"])""")

ruff_repository = repository_rule(
    implementation = _ruff_repository_impl,
    attrs = {
        "sha256": attr.string(mandatory = True, doc = "of the wheel"),
        "version": attr.string(mandatory = True),
    },
)
