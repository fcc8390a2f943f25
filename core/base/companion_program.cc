#include "core/base/companion_program.h"

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

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string ThisProgram() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  return n > 0 ? std::string(path, n) : std::string();
}

// The shared library or program that holds this code.
std::string ThisObject() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&FindCompanion), &info) == 0) return "";
  if (info.dli_fname == nullptr || strchr(info.dli_fname, '/') == nullptr) return "";
  char path[PATH_MAX];
  return realpath(info.dli_fname, path) != nullptr ? path : info.dli_fname;
}

std::vector<std::string> Candidates(const CompanionProgram& program) {
  const std::string in_runfiles = absl::StrCat("keel/", program.folder, "/", program.name);
  // From //core/capi's shared library.
  const std::string beside_capi =
      absl::StrCat("..", strchr(program.folder, '/'), "/", program.name);
  std::vector<std::string> places;
  for (const std::string& holder : {ThisObject(), ThisProgram()}) {
    if (holder.empty()) continue;
    places.push_back(absl::StrCat(FolderOf(holder), program.name));
    places.push_back(absl::StrCat(FolderOf(holder), beside_capi));
    places.push_back(absl::StrCat(holder, ".runfiles/", in_runfiles));
  }
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* dir = secure_getenv(name)) {
      places.push_back(absl::StrCat(dir, "/", in_runfiles));
    }
  }
  return places;
}

}  // namespace

absl::StatusOr<std::string> FindCompanion(const CompanionProgram& program,
                                          const std::string& path) {
  const char* from_environment = secure_getenv(program.environment);
  std::vector<std::string> places;
  if (!path.empty()) {
    places = {path};
  } else if (from_environment != nullptr && *from_environment != '\0') {
    places = {from_environment};
  } else {
    places = Candidates(program);
  }
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  return absl::NotFoundError(absl::StrCat("the program ", program.name, ", which ", program.does,
                                          ", is not at ", absl::StrJoin(places, ", "),
                                          "; install it beside Keel's library or set ",
                                          program.environment));
}

}  // namespace keel
