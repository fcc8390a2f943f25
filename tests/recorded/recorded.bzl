"""Models that are recorded: their tests, and the command that rewrites their goldens."""

load("//sdk:plugin.bzl", "keel_plugin")

def recorded_models(update, families, models):
    """Declares <name>_test for each model, tests of damaged graphs, and a program that writes all goldens.

    Args:
      update: name of the program.
      families: names of folders of plugins/, recorded for testdata/default and each directory
        beside it that has a graph.textproto.
      models: names of folders of tests/recorded, each with a recorded_model.
    """
    recorded = [(
        name,
        "//plugins/%s:lib%s.so" % (name, name),
        "//plugins/%s/testdata" % name,
        "plugins/%s/testdata" % name,
    ) for name in families] + [(
        name,
        "//tests/recorded/%s:lib%s.so" % (name, name),
        "//tests/recorded/%s:golden" % name,
        "tests/recorded/" + name,
    ) for name in models]
    args, data, directories, goldens = [], [], [], []
    for name, plugin, files, directory in recorded:
        model_args = ["$(rootpath %s)" % plugin, directory]
        native.cc_test(
            name = name + "_test",
            size = "small",
            args = model_args,
            data = [plugin, files],
            deps = [":record_test_main"],
        )
        args += model_args
        data.append(plugin)
        directories.append(directory)
        goldens.append(files)
    native.cc_binary(
        name = update,
        testonly = True,
        srcs = ["update.cc"],
        args = args,
        data = data,
        deps = [
            ":recording",
            "//core/base:file",
        ],
    )
    native.cc_test(
        name = "graph_fuzz_test",
        size = "small",
        srcs = ["graph_fuzz_test.cc"],
        args = directories,
        data = goldens,
        deps = [
            ":graph_mutation",
            ":recording",
            "//core/base:file",
            "//core/base:status_matchers",
            "//core/checkpoint:testing",
            "//core/graph:sharding",
            "//core/graph:stages",
            "//core/graph:verifier",
            "//third_party/googletest",
            "//third_party/protobuf",
        ],
    )
    native.cc_test(
        name = "graph_file_fuzz_test",
        size = "medium",
        srcs = ["graph_file_fuzz_test.cc"],
        args = directories,
        data = goldens,
        deps = [
            ":graph_mutation",
            ":recording",
            "//core/attention:registry",
            "//core/base:file",
            "//core/base:status_matchers",
            "//core/checkpoint:testing",
            "//core/exec:executor",
            "//core/graph:graph_file",
            "//core/weights:testing",
            "//third_party/abseil",
            "//third_party/googletest",
            "//third_party/libtorch",
        ],
    )

def recorded_model(name, architectures, hdrs = []):
    """A folder of tests/recorded: <name>.cc, config.json, graph.textproto.

    Args:
      name: of the folder, the plugin and its file.
      architectures: that the plugin serves.
      hdrs: headers of its own; with a processor, files that it reads are *.json.
    """
    keel_plugin(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        hdrs = hdrs,
        architectures = architectures,
        visibility = ["//tests:__subpackages__"],
    )
    native.filegroup(
        name = "golden",
        srcs = native.glob([
            "*.json",
            "graph.textproto",
        ]),
        visibility = ["//tests:__subpackages__"],
    )
