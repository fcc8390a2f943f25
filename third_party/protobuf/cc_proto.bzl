"""cc_proto: a C++ library from .proto files, by Debian's protoc."""

def cc_proto(name, srcs, deps = [], **kwargs):
    """Declares a cc_library of the messages in `srcs`.

    C++ includes "path/of/package/file.pb.h"; a .proto imports "path/of/package/file.proto".

    Args:
      name: of the cc_library.
      srcs: .proto files of this package.
      deps: other cc_proto targets, whose files `srcs` import.
      **kwargs: visibility, testonly and the like.
    """
    stems = [src.rpartition(".")[0] for src in srcs]
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + [_protos(dep) for dep in deps],
        visibility = kwargs.get("visibility"),
    )
    native.genrule(
        name = name + "_protoc",
        srcs = [name + "_protos"],
        outs = [stem + ".pb.h" for stem in stems] + [stem + ".pb.cc" for stem in stems],
        cmd = "protoc --proto_path=. --cpp_out=$(GENDIR) " +
              " ".join(["%s/%s" % (native.package_name(), src) for src in srcs]),
        message = "Generating C++ of",
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = [stem + ".pb.cc" for stem in stems],
        hdrs = [stem + ".pb.h" for stem in stems],
        copts = ["-w"],
        deps = deps + ["//third_party/protobuf"],
        **kwargs
    )

def _protos(label):
    """The filegroup of .proto files that belongs to a cc_proto."""
    if ":" not in label:
        label += ":" + label.rpartition("/")[2]
    return label + "_protos"
