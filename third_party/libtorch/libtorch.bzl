"""The repository @libtorch: headers and CPU libraries of the pinned libtorch."""

HEADERS = ["ATen", "c10", "caffe2", "torch"]

def _libtorch_repository_impl(ctx):
    fetch = ctx.path(Label("//third_party/libtorch:fetch.py"))
    ctx.path(Label("//third_party/libtorch:cuda_stubs.py"))
    ctx.path(Label("//third_party/libtorch:wheels.lock"))
    python = ctx.which("python3")
    if not python:
        fail("libtorch: no python3 on PATH; ./bazelw installs it")
    result = ctx.execute([python, fetch, "found.json"], timeout = 3600, quiet = False)
    if result.return_code:
        fail(result.stderr.strip().rpartition("\n")[2])
    found = json.decode(ctx.read("found.json"))

    for name in HEADERS:
        ctx.symlink(found["include"] + "/" + name, "include/" + name)
    for name, path in found["libraries"].items():
        ctx.symlink(path, "lib/" + name)
    ctx.template(
        "BUILD",
        Label("//third_party/libtorch:BUILD.libtorch"),
        {"%{LIBRARIES}": '", "'.join(found["libraries"].keys())},
    )

libtorch_repository = repository_rule(
    implementation = _libtorch_repository_impl,
    environ = ["KEEL_LIBTORCH"],
)
