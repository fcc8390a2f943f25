"""The repository @python_transformers: transformers and Python's torch, for tests."""

def _transformers_repository_impl(ctx):
    ctx.path(ctx.attr.lock)
    make = ctx.path(Label("//third_party/python:make_env.sh"))
    result = ctx.execute([make, ctx.path(ctx.attr.lock), "env"], timeout = 3600, quiet = False)
    if result.return_code:
        fail("transformers: the environment of %s could not be made, see above" % ctx.attr.lock)

    # The torch that the build uses.
    fetch = ctx.path(Label("//third_party/libtorch:fetch.py"))
    ctx.path(Label("//third_party/libtorch:cuda_stubs.py"))
    ctx.path(Label("//third_party/libtorch:wheels.lock"))
    result = ctx.execute(["python3", fetch, "found.json"], timeout = 3600, quiet = False)
    if result.return_code:
        fail(result.stderr.strip().rpartition("\n")[2])
    packages = json.decode(ctx.read("found.json"))["packages"] or ""
    site = ctx.execute(["env/bin/python3", "-c", "import site; print(site.getsitepackages()[0])"])
    ctx.template(
        "transformers_env.py",
        Label("//third_party/transformers:transformers_env.py.in"),
        {"%{SITE}": site.stdout.strip(), "%{TORCH}": packages},
    )
    ctx.template("BUILD", Label("//third_party/transformers:BUILD.env"))

transformers_repository = repository_rule(
    implementation = _transformers_repository_impl,
    environ = ["KEEL_LIBTORCH"],
    attrs = {"lock": attr.label(
        allow_single_file = True,
        mandatory = True,
        doc = "Packages with versions and hashes, as lock.py writes them.",
    )},
)
