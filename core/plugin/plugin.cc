#include "core/plugin/plugin.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/plugin/requirements.h"

namespace keel {
namespace {

// Whether a mapping of the file `fd` is in this process.
absl::StatusOr<bool> IsMapped(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, "cannot stat a memfd");
  // address perms offset dev inode name
  const std::string dev = absl::StrFormat("%02x:%02x", major(info.st_dev), minor(info.st_dev));
  const std::string inode = absl::StrCat(info.st_ino);
  std::ifstream maps("/proc/self/maps");
  if (!maps) return absl::InternalError("cannot read /proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 5), absl::SkipEmpty());
    if (parts.size() > 4 && parts[3] == dev && parts[4] == inode) return true;
  }
  return false;
}

// The floating-point control word without its exception flags: rounding, flush to zero.
uint32_t FloatingPointMode() {
#if defined(__x86_64__)
  constexpr uint32_t kExceptionFlags = 0x3f;
  return __builtin_ia32_stmxcsr() & ~kExceptionFlags;
#else
  return 0;
#endif
}

void SetFloatingPointMode([[maybe_unused]] uint32_t mode) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(mode);
#endif
}

absl::Status OpenLibrary(int fd, boost::dll::shared_library& library) {
  namespace load_mode = boost::dll::load_mode;
  // Not the path that was authorized: that file may be another by now.
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  const uint32_t mode = FloatingPointMode();
  try {
    library.load(path, load_mode::rtld_now | load_mode::rtld_local);
  } catch (const std::exception& e) {
    return Breaks(29, absl::FailedPreconditionError(absl::StrCat("cannot be loaded: ", e.what())));
  }
  if (FloatingPointMode() == mode) return absl::OkStatus();
  SetFloatingPointMode(mode);
  return Breaks(30, absl::FailedPreconditionError("changes the floating-point mode when it is "
                                                  "loaded; link it without -ffast-math"));
}

}  // namespace

// Members in order of need: the library closes first, its file last. While the library is mapped its
// descriptor stays open, since the dynamic linker knows it by /proc/self/fd/N and would take another
// file under that number for this one.
struct Plugin::Library {
  Library(AuthorizedImage i, const HostInterfaces* interfaces, PluginLog log)
      : image(std::move(i)), host(image.ref().name, interfaces, std::move(log)) {}

  AuthorizedImage image;
  PluginHost host;
  boost::dll::shared_library library;
};

Plugin::Plugin(std::unique_ptr<Library> library) : library_(std::move(library)) {}

Plugin::~Plugin() {
  Close().IgnoreError();
  // Its descriptor number must not be used again: see Plugin::Library.
  if (still_mapped_) (void)library_.release();
}

const PluginRef& Plugin::ref() const { return library_->image.ref(); }
const std::string& Plugin::sha256() const { return library_->image.sha256(); }

absl::Status Plugin::Call(absl::string_view what, absl::FunctionRef<keel_status()> call) const {
  return CallPlugin(name(), what, call);
}

absl::StatusOr<std::shared_ptr<Plugin>> Plugin::Open(AuthorizedImage image,
                                                     const HostInterfaces* interfaces,
                                                     PluginLog log) {
  // Not make_shared: the constructor is private.
  std::shared_ptr<Plugin> plugin(
      new Plugin(std::make_unique<Library>(std::move(image), interfaces, std::move(log))));
  KEEL_RETURN_IF_ERROR(plugin->Init());
  return plugin;
}

absl::Status Plugin::Init() {
  // Call names the plugin by itself.
  const auto named = [this](const absl::Status& status) {
    return Annotate(status, absl::StrCat("plugin ", name()));
  };
  KEEL_RETURN_IF_ERROR(named(OpenLibrary(library_->image.fd(), library_->library)));
  loaded_ = true;
  using Entry = const keel_plugin*();
  Entry* entry = nullptr;
  try {
    entry = &library_->library.get<Entry>(KEEL_PLUGIN_ENTRY);
  } catch (const std::exception& e) {
    return named(Breaks(
        2, absl::FailedPreconditionError(absl::StrCat("no " KEEL_PLUGIN_ENTRY ": ", e.what()))));
  }
  const keel_plugin* again = nullptr;
  KEEL_RETURN_IF_ERROR(Call(KEEL_PLUGIN_ENTRY, [&] {
    descriptor_ = entry();
    again = entry();
    return keel_status{0};
  }));
  if (again != descriptor_) {
    return named(Breaks(
        31, absl::FailedPreconditionError(KEEL_PLUGIN_ENTRY " gave two descriptors on two calls")));
  }
  KEEL_RETURN_IF_ERROR(named(CheckDescriptor(descriptor_)));
  KEEL_RETURN_IF_ERROR(
      Breaks(36, Call("init", [&] { return descriptor_->init(library_->host.get(), &self_); })));
  initialized_ = true;

  absl::StatusOr<PluginClasses> classes;
  KEEL_RETURN_IF_ERROR(Call("get_interface", [&] {
    classes = ReadPluginClasses(*descriptor_, self_);
    return keel_status{0};
  }));
  if (!classes.ok()) return named(classes.status());
  classes_ = *std::move(classes);
  return named(Breaks(39, CompareNotes(ref().note, NoteOf(*descriptor_, classes_))));
}

absl::Status Plugin::Close() {
  if (!loaded_) return absl::OkStatus();
  loaded_ = false;
  classes_ = {};
  absl::Status status;
  if (initialized_) {
    status = Call("shutdown", [&] {
      descriptor_->shutdown(self_);
      return keel_status{0};
    });
  }
  descriptor_ = nullptr;
  self_ = nullptr;
  library_->library.unload();
  const absl::StatusOr<bool> is_mapped = IsMapped(library_->image.fd());
  still_mapped_ = is_mapped.value_or(true);
  KEEL_RETURN_IF_ERROR(is_mapped);
  if (still_mapped_) {
    return absl::InternalError(
        absl::StrCat("plugin ", name(), ": is still mapped after it was unloaded"));
  }
  return status;
}

absl::Status Plugin::Unload() {
  if (must_stay_loaded()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "plugin ", name(), ": its attention, kernels or processors run while it serves"));
  }
  return Close();
}

bool Plugin::must_stay_loaded() const {
  return !classes_.attention.empty() || !classes_.kernels.empty() || !classes_.processors.empty() ||
         (descriptor_ != nullptr && (descriptor_->flags & KEEL_PLUGIN_HAS_KERNELS));
}

const keel_model_class* Plugin::FindModel(absl::string_view architecture) const {
  for (const keel_model_class* c : classes_.models) {
    if (c->name == architecture) return c;
    for (const char* const* name = c->architectures; *name != nullptr; ++name) {
      if (*name == architecture) return c;
    }
  }
  return nullptr;
}

const keel_processor_class* Plugin::FindProcessor(absl::string_view name) const {
  for (const keel_processor_class* c : classes_.processors) {
    for (const char* const* n = c->names; *n != nullptr; ++n) {
      if (*n == name) return c;
    }
  }
  return nullptr;
}

}  // namespace keel
