"""Repositories of locked Python packages, made when a target first needs them."""

def _make_env(ctx):
    ctx.path(ctx.attr.lock)
    make = ctx.path(Label("//third_party/python:make_env.sh"))
    result = ctx.execute([make, ctx.path(ctx.attr.lock), "env"], timeout = 3600, quiet = False)
    if result.return_code:
        fail("python: the environment of %s could not be made, see above" % ctx.attr.lock)

_LOCK = attr.label(
    allow_single_file = True,
    mandatory = True,
    doc = "Packages with versions and hashes, as pip-compile --generate-hashes writes them.",
)

def _python_env_impl(ctx):
    _make_env(ctx)
    ctx.template(
        "BUILD",
        Label("//third_party/python:BUILD.env"),
        {"%{PYTHON}": str(ctx.path("env").realpath) + "/bin/python3"},
    )

python_env = repository_rule(
    implementation = _python_env_impl,
    attrs = {"lock": _LOCK},
    doc = "A Python with the packages, for the toolchain.",
)

def _python_packages_impl(ctx):
    _make_env(ctx)
    site = ctx.execute(["env/bin/python3", "-c", "import site; print(site.getsitepackages()[0])"])
    ctx.template(
        ctx.attr.module + ".py",
        Label("//third_party/python:packages.py.in"),
        {"%{SITE}": site.stdout.strip()},
    )
    ctx.template("BUILD", Label("//third_party/python:BUILD.packages"), {
        "%{MODULE}": ctx.attr.module,
    })

python_packages = repository_rule(
    implementation = _python_packages_impl,
    attrs = {
        "lock": _LOCK,
        "module": attr.string(mandatory = True, doc = "whose import puts the packages first"),
    },
    doc = "Packages beside those of the toolchain, some of them in other versions.",
)
