// What most tests include, parsed once: see third_party/bazel/precompiled.bzl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "third_party/abseil/common.h"
