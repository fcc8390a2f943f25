#include "core/model/text_probe_program.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace keel {
namespace {

constexpr char kProgram[] = "keel-text-probe";
constexpr char kEnvironment[] = "KEEL_TEXT_PROBE";
// Under Bazel: in a runfiles folder, and from //core/capi's shared library.
constexpr char kInRunfiles[] = "keel/core/model/keel-text-probe";
constexpr char kBesideCapi[] = "../model/keel-text-probe";

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string ThisProgram() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  return n > 0 ? std::string(path, n) : std::string();
}

// The shared library or program that holds this code.
std::string ThisObject() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&FindProbeProgram), &info) == 0) return "";
  if (info.dli_fname == nullptr || strchr(info.dli_fname, '/') == nullptr) return "";
  char path[PATH_MAX];
  return realpath(info.dli_fname, path) != nullptr ? path : info.dli_fname;
}

std::vector<std::string> Candidates() {
  std::vector<std::string> places;
  const std::string object = ThisObject();
  const std::string program = ThisProgram();
  for (const std::string& holder : {object, program}) {
    if (holder.empty()) continue;
    places.push_back(absl::StrCat(FolderOf(holder), kProgram));
    places.push_back(absl::StrCat(FolderOf(holder), kBesideCapi));
    places.push_back(absl::StrCat(holder, ".runfiles/", kInRunfiles));
  }
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* dir = getenv(name)) places.push_back(absl::StrCat(dir, "/", kInRunfiles));
  }
  return places;
}

}  // namespace

absl::StatusOr<std::string> FindProbeProgram(const std::string& program) {
  const char* from_environment = getenv(kEnvironment);
  std::vector<std::string> places;
  if (!program.empty()) {
    places = {program};
  } else if (from_environment != nullptr && *from_environment != '\0') {
    places = {from_environment};
  } else {
    places = Candidates();
  }
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  return absl::NotFoundError(absl::StrCat(
      "the program ", kProgram, ", which tries tokenizer and chat template files, is not at ",
      absl::StrJoin(places, ", "), "; install it beside Keel's library or set ", kEnvironment));
}

}  // namespace keel
