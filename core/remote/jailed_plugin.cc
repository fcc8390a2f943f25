#include "core/remote/jailed_plugin.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/companion_program.h"
#include "core/base/status.h"
#include "core/base/strict_proto.h"
#include "core/graph/graph_file.h"
#include "core/plugin/host.h"
#include "core/remote/jail_tensor.h"

namespace keel {
namespace {

constexpr CompanionProgram kProgram = {"keel-jail",
                                       "runs plugins and reads graph files that are not trusted",
                                       "KEEL_JAIL", "core/remote"};
constexpr int64_t kMaxReplyMessages = 1 << 16;  // a graph is bytes in it

std::string Untrusted(absl::string_view text) { return PluginText(text.data(), text.size()); }

// The question comes from outside; what the host makes of it does not go on before that.
absl::Status AnswerInto(const proto::HostQuestion& question, const HostAnswers& host,
                        proto::HostAnswer& answer) {
  if (question.has_resize() && host.resize) {
    KEEL_RETURN_IF_ERROR(CheckTensor(question.resize().image()));
    const proto::ResizeImage& to = question.resize();
    const int64_t dims[] = {to.height(), to.width(), 3};
    KEEL_RETURN_IF_ERROR(TensorBytes(KEEL_U8, dims).status());
    KEEL_ASSIGN_OR_RETURN(*answer.mutable_image(), host.resize(to));
    return absl::OkStatus();
  }
  if (question.has_power_spectrum() && host.power_spectrum) {
    KEEL_RETURN_IF_ERROR(CheckSpectrum(question.power_spectrum()));
    KEEL_ASSIGN_OR_RETURN(*answer.mutable_spectrum(),
                          host.power_spectrum(question.power_spectrum()));
    return absl::OkStatus();
  }
  if (question.kind_case() == proto::HostQuestion::kTokenId && host.token_id) {
    KEEL_ASSIGN_OR_RETURN(const int64_t id, host.token_id(question.token_id()));
    answer.add_ids(id);
    return absl::OkStatus();
  }
  if (question.kind_case() == proto::HostQuestion::kEncode && host.encode) {
    KEEL_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, host.encode(question.encode()));
    answer.mutable_ids()->Add(ids.begin(), ids.end());
    return absl::OkStatus();
  }
  if (question.kind_case() == proto::HostQuestion::kRead && host.read) {
    KEEL_ASSIGN_OR_RETURN(*answer.mutable_file(), host.read(question.read()));
    return absl::OkStatus();
  }
  return absl::UnimplementedError("this host does not do that for a processor");
}

proto::HostAnswer Answer(const proto::HostQuestion& question, const HostAnswers& host) {
  proto::HostAnswer answer;
  const absl::Status status = AnswerInto(question, host, answer);
  answer.set_code(static_cast<int>(status.code()));
  answer.set_message(std::string(status.message()));
  return answer;
}

}  // namespace

absl::StatusOr<JailedPlugin> JailedPlugin::Start(const JailedImage& image,
                                                 const JailOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string program, FindCompanion(kProgram, options.program));
  const PluginRef& ref = image.ref();
  KEEL_ASSIGN_OR_RETURN(JailedProcess process,
                        JailedProcess::Start(LabelOf(ref), program,
                                             {ref.kind == PluginKind::kGraph ? "graph" : "plugin",
                                              absl::StrCat(options.limits.memory_bytes),
                                              absl::StrCat(options.limits.cpu_seconds), ref.name},
                                             {image.fd()}, options));
  return JailedPlugin(ref, std::move(process));
}

absl::StatusOr<proto::JailReply> JailedPlugin::Exchange(const proto::JailRequest& request,
                                                        absl::Time deadline) {
  KEEL_RETURN_IF_ERROR(process_.Write(request.SerializeAsString(), deadline));
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, process_.Read(deadline));
  proto::JailReply reply;
  KEEL_RETURN_IF_ERROR(ParseStrict(bytes, kMaxReplyMessages, &reply));
  return reply;
}

absl::StatusOr<proto::JailReply> JailedPlugin::Ask(const proto::JailRequest& request,
                                                   const HostAnswers& host) {
  KEEL_ASSIGN_OR_RETURN(const absl::Time deadline, process_.Begin());
  absl::StatusOr<proto::JailReply> answered = Exchange(request, deadline);
  while (answered.ok() && answered->has_question()) {
    proto::JailRequest next;
    *next.mutable_answer() = Answer(answered->question(), host);
    answered = Exchange(next, deadline);
  }
  if (!answered.ok()) return process_.Ended(answered.status());
  proto::JailReply reply = *std::move(answered);
  if (!reply.log().empty()) LogPluginToStderr(2, name_, "in its jail", Untrusted(reply.log()));
  if (reply.code() == 0) return reply;
  const bool known = reply.code() > 0 && reply.code() <= 16;
  const std::string said = Untrusted(reply.message());
  return absl::Status(
      known ? static_cast<absl::StatusCode>(reply.code()) : absl::StatusCode::kInvalidArgument,
      absl::StartsWith(said, label_) ? said : absl::StrCat(label_, ": ", said));
}

absl::StatusOr<proto::Graph> RecordInJail(const JailedImage& image,
                                          const proto::RecordRequest& request,
                                          const JailOptions& options) {
  KEEL_ASSIGN_OR_RETURN(JailedPlugin plugin, JailedPlugin::Start(image, options));
  proto::JailRequest record;
  *record.mutable_record() = request;
  KEEL_ASSIGN_OR_RETURN(const proto::JailReply reply, plugin.Ask(record));
  absl::StatusOr<proto::Graph> graph = ParseGraphFile(reply.graph());
  if (!graph.ok()) {
    return Annotate(graph.status(),
                    absl::StrCat("plugin ", image.ref().name, ": what it recorded in its jail"));
  }
  const PluginNote& note = image.ref().note;
  graph->set_plugin(absl::StrCat(note.id, " ", note.version));
  graph->clear_provenance();  // a jail does not say where it is
  graph->mutable_provenance()->set_plugin_sha256(image.sha256());
  return graph;
}

absl::StatusOr<proto::Graph> ReadGraphInJail(const JailedImage& image, const JailOptions& options) {
  KEEL_ASSIGN_OR_RETURN(JailedPlugin jail, JailedPlugin::Start(image, options));
  proto::JailRequest request;
  request.mutable_read_graph();
  KEEL_ASSIGN_OR_RETURN(const proto::JailReply reply, jail.Ask(request));
  absl::StatusOr<proto::Graph> graph = ParseGraphFile(reply.graph());
  if (!graph.ok()) return Annotate(graph.status(), LabelOf(image.ref()));
  return graph;
}

}  // namespace keel
