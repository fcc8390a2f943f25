// A plugin that runs, or a graph file that is read, in a jail (jail.h), seen from the host: requests go in, answers come out, and
// nothing that the plugin does reaches this process but by them.
#ifndef KEEL_CORE_REMOTE_JAILED_PLUGIN_H_
#define KEEL_CORE_REMOTE_JAILED_PLUGIN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/graph/graph.pb.h"
#include "core/plugin/trust.h"
#include "core/remote/jail.pb.h"
#include "core/remote/jailed_process.h"

namespace keel {

// What a processor asks its host; called by JailedPlugin::Ask, on its thread. An empty one answers
// kUnimplemented.
struct HostAnswers {
  std::function<absl::StatusOr<int64_t>(absl::string_view token)> token_id = {};
  std::function<absl::StatusOr<std::vector<int64_t>>(absl::string_view text)> encode = {};
  // RGB8 [height, width, 3] of the sizes asked for.
  std::function<absl::StatusOr<proto::JailTensor>(const proto::ResizeImage&)> resize = {};
  // F32 [1 + samples / hop, n_fft / 2 + 1]. Samples and window are F32, of one dimension; hop is 1 or more.
  std::function<absl::StatusOr<proto::JailTensor>(const proto::PowerSpectrum&)> power_spectrum = {};
  // A file of the checkpoint. kNotFound: it has none of that name.
  std::function<absl::StatusOr<std::string>(const std::string& name)> read = {};
};

// One child process. Move-only, one thread at a time; killed by the destructor.
class JailedPlugin {
 public:
  // kInternal, kNotFound: the program can't be started. Whether it can lock itself, and whether the
  // plugin loads there, the first Ask says.
  static absl::StatusOr<JailedPlugin> Start(const JailedImage& image,
                                            const JailOptions& options = {});

  // Sends a request and waits for its reply, whose code is OK. Errors begin with "plugin <name>" or
  // "graph file <name>": what the plugin said (its code, escaped text), or how its process ended: a denied system call by
  // name, a crash, a limit. kFailedPrecondition: this machine can't jail, with the reason. After an
  // error that is not the plugin's own word the process is gone: is_alive().
  absl::StatusOr<proto::JailReply> Ask(const proto::JailRequest& request,
                                       const HostAnswers& host = {});

  bool is_alive() const { return process_.is_alive(); }

 private:
  JailedPlugin(const PluginRef& ref, JailedProcess process)
      : name_(ref.name), label_(LabelOf(ref)), process_(std::move(process)) {}

  absl::StatusOr<proto::JailReply> Exchange(const proto::JailRequest& request, absl::Time deadline);

  std::string name_, label_;
  JailedProcess process_;
};

// Records a model class of `image` in a jail of its own. The graph has been verified here as any
// graph file is; `plugin` in it is what the note says.
absl::StatusOr<proto::Graph> RecordInJail(const JailedImage& image,
                                          const proto::RecordRequest& request,
                                          const JailOptions& options = {});

// The graph in `image`, a graph file: parsed and verified in a jail of its own, as far as this machine
// has one, and verified here again.
absl::StatusOr<proto::Graph> ReadGraphInJail(const JailedImage& image,
                                             const JailOptions& options = {});

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAILED_PLUGIN_H_
