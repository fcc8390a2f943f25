"""The repository @buildifier: the binary that its npm package carries."""

def _buildifier_repository_impl(ctx):
    npm = ctx.which("npm")
    if not npm:
        fail("buildifier: no npm on PATH; ./bazelw test installs it")
    result = ctx.execute(
        [npm, "pack", "--silent", "@bazel/buildifier@" + ctx.attr.version],
        timeout = 600,
    )
    if result.return_code:
        fail("buildifier: npm could not download it: " + result.stderr)
    archive = result.stdout.strip()
    found = ctx.execute(["sha256sum", archive]).stdout.partition(" ")[0]
    if found != ctx.attr.sha256:
        fail("buildifier: sha256 of %s is %s, expected %s" % (archive, found, ctx.attr.sha256))
    ctx.extract(archive)
    ctx.file("BUILD", """exports_files(["package/buildifier-linux_amd64"])""")

buildifier_repository = repository_rule(
    implementation = _buildifier_repository_impl,
    attrs = {
        "sha256": attr.string(mandatory = True, doc = "of the npm package"),
        "version": attr.string(mandatory = True),
    },
)
