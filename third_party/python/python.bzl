"""A repository with a Python of locked packages, made when a target first needs it."""

def _python_env_impl(ctx):
    ctx.path(ctx.attr.lock)
    make = ctx.path(Label("//third_party/python:make_env.sh"))
    result = ctx.execute([make, ctx.path(ctx.attr.lock), "env"], timeout = 3600, quiet = False)
    if result.return_code:
        fail("python: the environment of %s could not be made, see above" % ctx.attr.lock)
    ctx.template(
        "BUILD",
        Label("//third_party/python:BUILD.env"),
        {"%{PYTHON}": str(ctx.path("env").realpath) + "/bin/python3"},
    )

python_env = repository_rule(
    implementation = _python_env_impl,
    attrs = {"lock": attr.label(
        allow_single_file = True,
        mandatory = True,
        doc = "Packages with versions and hashes, as pip-compile --generate-hashes writes them.",
    )},
)
