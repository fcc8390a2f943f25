"""conformance_test: keel-validate on a plugin and its models."""

def conformance_test(name, plugin, models):
    """Fails if the plugin breaks a requirement.

    Args:
      name: of the test.
      plugin: label of the shared library.
      models: label of a filegroup `testdata`: a directory with a `default` model in it.
    """
    package = models.partition(":")[0].lstrip("/")
    directory = package if package.endswith("testdata") else package + "/testdata"
    native.sh_test(
        name = name + "_test",
        size = "small",
        srcs = ["//apps/validate"],
        args = [
            "$(rootpath %s)" % plugin,
            "--config",
            directory + "/default",
            "--jobs",
            "1",
        ],
        data = [
            models,
            plugin,
            "//core/conformance:keel-validate-numbers",
        ],
    )
