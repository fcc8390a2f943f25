"""Plugins that mean harm, each in one way."""

def hostile_plugins(name, plugins):
    """A filegroup `name` of lib<plugin>.so for each of `plugins`, made of <plugin>.c."""
    for plugin in plugins:
        native.cc_binary(
            name = "lib%s.so" % plugin,
            testonly = True,
            srcs = [
                "hostile.h",
                plugin + ".c",
            ],
            additional_linker_inputs = ["//sdk:plugin.lds"],
            copts = ["-fvisibility=hidden"],
            linkopts = [
                "-Wl,--version-script=$(location //sdk:plugin.lds)",
                "-Wl,-z,defs",
                "-Wl,-z,now",
                "-Wl,-z,relro",
                "-Wl,-z,noexecstack",
                "-Wl,--as-needed",
            ],
            linkshared = True,
            linkstatic = True,
            deps = ["//tests/plugins:descriptor"],
        )
    native.filegroup(
        name = name,
        testonly = True,
        srcs = ["lib%s.so" % plugin for plugin in plugins],
        visibility = ["//visibility:public"],
    )
