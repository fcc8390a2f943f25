"""outside_plugin: a plugin that is built as its author would build it, with a compiler and sdk/ alone."""

def outside_plugin(name):
    """Builds lib<name>.so from <name>.cc by the command of docs/plugin-authoring.md, and checks it.

    Args:
      name: of the plugin; its folder's.
    """
    library = "lib%s.so" % name
    build = "//sdk/examples:build.sh"
    checker = "//tests/plugins:check_plugin"
    native.genrule(
        name = name,
        srcs = [
            name + ".cc",
            "//docs:plugin-authoring.md",
            "//sdk:plugin.lds",
            "//sdk/abi:headers",
            "//sdk/keel:headers",
        ],
        outs = [library],
        cmd = "$(location %s) $(location //docs:plugin-authoring.md) . $(location %s.cc) $@" %
              (build, name),
        tools = [build],
        visibility = ["//tests:__subpackages__"],
    )
    native.sh_test(
        name = name + "_check",
        size = "small",
        srcs = [checker],
        args = ["$(rootpath %s)" % library],
        data = [library],
    )
    native.filegroup(
        name = "testdata",
        srcs = native.glob(["testdata/**"]),
        visibility = ["//tests:__subpackages__"],
    )
