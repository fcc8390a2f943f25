"""keel_plugin: a shared library that a Keel host loads."""

# The entry is the only symbol that leaves; nothing is bound late; of the C++ runtime only libgcc_s is
# shared with the host, so that an exception that escapes from the plugin reaches the host's handler:
# with an unwinder of the plugin's own it would end the process.
_LINKOPTS = [
    "-Wl,-z,defs",
    "-Wl,-z,now",
    "-Wl,-z,relro",
    "-Wl,-z,noexecstack",
    "-Wl,-Bstatic",
    "-lstdc++",
    "-Wl,-Bdynamic",
    "-Wl,--as-needed",
]

_COPTS = [
    "-fvisibility=hidden",
    "-fno-gnu-unique",
]

def keel_plugin(
        name,
        srcs,
        hdrs = [],
        deps = [],
        architectures = [],
        configs = [],
        check_args = [],
        copts = [],
        linkopts = [],
        testonly = False,
        visibility = None):
    """Builds a plugin from C or C++ sources.

    What the plugin is and provides is said once, in its source (KEEL_PLUGIN, or KEEL_PLUGIN_NOTE in
    C); the file's note comes from there.

    Targets:
      name            lib<name>.so; for `data` and --plugin-path
      name_sources    its sources, for an archive
      name_check      test: the plugin keeps its contract (docs/validate.md); without `configs` only
                      the file and its loading are looked at
      name_manifest   keel_plugin.json for a checkpoint that brings this plugin (not built by //...)

    Args:
      name: of the plugin, "llama".
      srcs: sources.
      hdrs: headers of its own.
      deps: besides the SDK; linked statically.
      architectures: if given, the check fails unless the plugin serves exactly these.
      configs: files config.json of models that it serves, small ones, for the check.
      check_args: more flags of the check, as ["--group", "S,L"].
      copts: for its sources.
      linkopts: for the library.
      testonly: as in every rule.
      visibility: of lib<name>.so.
    """
    library = "lib%s.so" % name
    version_script = str(Label("//sdk:plugin.lds"))
    validator = str(Label("//sdk/validate"))
    is_cc = all([not src.endswith(".c") for src in srcs])

    native.cc_binary(
        name = library,
        srcs = srcs + hdrs,
        additional_linker_inputs = [version_script],
        copts = _COPTS + (["-std=c++20"] if is_cc else []) + copts,
        linkopts = ["-Wl,--version-script=$(location %s)" % version_script] + linkopts + _LINKOPTS,
        linkshared = True,
        linkstatic = True,
        testonly = testonly,
        visibility = visibility,
        deps = deps + [str(Label("//sdk/keel:plugin"))],
    )
    native.filegroup(
        name = name,
        srcs = [library],
        testonly = testonly,
        visibility = visibility,
    )
    native.filegroup(
        name = name + "_sources",
        srcs = srcs + hdrs,
        testonly = testonly,
        visibility = visibility,
    )
    native.sh_test(
        name = name + "_check",
        size = "small",
        srcs = [validator],
        args = ["$(rootpath %s)" % library] +
               (["--architectures", ",".join(architectures)] if architectures else []) +
               ["--config=$(rootpath %s)" % config for config in configs] + check_args,
        data = [library] + configs,
    )
    native.genrule(
        name = name + "_manifest",
        srcs = [library],
        outs = ["%s_manifest/keel_plugin.json" % name],
        cmd = "$(location %s) $(location %s) --group S --manifest $@" % (validator, library),
        tags = ["manual"],
        testonly = testonly,
        tools = [validator],
        visibility = visibility,
    )
