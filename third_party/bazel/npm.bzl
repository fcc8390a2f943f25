"""A repository with one package of npm, by version and hash; no package that it depends on."""

_WHOLE = """filegroup(
    name = "package",
    srcs = glob(["package/**/*.mjs", "package/package.json"]),
    visibility = ["//visibility:public"],
)
"""

def _npm_package_impl(ctx):
    name = ctx.attr.package + "@" + ctx.attr.version
    npm = ctx.which("npm")
    if not npm:
        fail("%s: no npm on PATH; ./bazelw test installs it" % name)
    result = ctx.execute([npm, "pack", "--silent", name], timeout = 600)
    if result.return_code:
        fail("%s: npm could not download it: %s" % (name, result.stderr))
    archive = result.stdout.strip()
    found = ctx.execute(["sha256sum", archive]).stdout.partition(" ")[0]
    if found != ctx.attr.sha256:
        fail("%s: sha256 is %s, expected %s" % (name, found, ctx.attr.sha256))
    ctx.extract(archive)
    if ctx.attr.file:
        ctx.file("BUILD", "exports_files([\"package/%s\"])" % ctx.attr.file)
    else:
        ctx.file("BUILD", _WHOLE)

npm_package = repository_rule(
    implementation = _npm_package_impl,
    attrs = {
        "file": attr.string(doc = "of the package: the one that is used; none: its code is"),
        "package": attr.string(mandatory = True),
        "sha256": attr.string(mandatory = True, doc = "of the archive"),
        "version": attr.string(mandatory = True),
    },
)
