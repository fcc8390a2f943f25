"""conformance_test: keel-validate on a plugin and its models."""

def conformance_test(name, plugin, models = None, directory = None, args = []):
    """Fails if the plugin breaks a requirement.

    Args:
      name: of the test.
      plugin: label of the shared library.
      models: label of a filegroup: a directory `testdata` with a `default` model in it, or
        `directory`. Without one no model is looked at.
      directory: where the model is, if not there.
      args: more flags.
    """
    config = []
    if models:
        package = models.partition(":")[0].lstrip("/")
        testdata = package if package.endswith("testdata") else package + "/testdata"
        config = ["--config", directory or testdata + "/default"]
    native.sh_test(
        name = name + "_test",
        size = "small",
        srcs = ["//apps/validate"],
        args = ["$(rootpath %s)" % plugin] + config + [
            "--jobs",
            "1",
        ] + args,
        data = [
            plugin,
            "//core/conformance:keel-validate-numbers",
        ] + ([models] if models else []),
    )
