"""Plugins that break a rule."""

# What keel_plugin links with, one by one so that a test can leave one out.
_LINKOPTS = {
    "version_script": "-Wl,--version-script=$(location //sdk:plugin.lds)",
    "defs": "-Wl,-z,defs",
    "now": "-Wl,-z,now",
    "relro": "-Wl,-z,relro",
    "noexecstack": "-Wl,-z,noexecstack",
}

def bad_plugin(name, srcs = ["bad.c"], define = "", without = [], linkopts = []):
    native.cc_binary(
        name = "lib%s.so" % name,
        testonly = True,
        srcs = srcs,
        additional_linker_inputs = ["//sdk:plugin.lds"],
        copts = ["-fvisibility=hidden"] + (["-D" + define] if define else []),
        linkopts = [
            _LINKOPTS[option]
            for option in sorted(_LINKOPTS)
            if option not in without
        ] + linkopts + ["-Wl,--as-needed"],
        linkshared = True,
        linkstatic = True,
        deps = ["//tests/plugins:descriptor"],
    )

def bad_plugins(name, define = [], others = []):
    """A filegroup `name` of bad.c once with each of the macros in `define`, and `others`."""
    for macro in define:
        bad_plugin(
            name = "bad_" + macro.lower(),
            define = macro,
        )
    native.filegroup(
        name = name,
        testonly = True,
        srcs = ["libbad_%s.so" % macro.lower() for macro in define] + others,
    )

def misbehaving_plugins(name, define, source = "misbehaves", linkopts = []):
    """A filegroup `name` of <source>.c once with each of the macros in `define`."""
    for macro in define:
        bad_plugin(
            name = "%s_%s" % (source, macro.lower()),
            srcs = [source + ".c"],
            define = macro,
            linkopts = linkopts,
        )
    native.filegroup(
        name = name,
        testonly = True,
        srcs = ["lib%s_%s.so" % (source, macro.lower()) for macro in define],
    )
