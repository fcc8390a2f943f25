// What most sources over ATen include, parsed once: see third_party/bazel/precompiled.bzl.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include "third_party/abseil/common.h"
