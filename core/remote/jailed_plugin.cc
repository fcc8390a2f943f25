#include "core/remote/jailed_plugin.h"

#include <seccomp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
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
constexpr absl::Duration kTimeToEnd = absl::Seconds(1);

std::string Untrusted(absl::string_view text) { return PluginText(text.data(), text.size()); }

// "socket" for the number that a "denied system call 41" has.
std::string DeniedCall(absl::string_view output) {
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    int number = 0;
    if (!absl::ConsumePrefix(&line, "denied system call") || !absl::SimpleAtoi(line, &number))
      continue;
    const std::unique_ptr<char, decltype(&std::free)> name(
        seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), std::free);
    return name != nullptr ? name.get() : absl::StrCat("system call ", number);
  }
  return "another system call";
}

std::string LastLine(absl::string_view output) {
  const std::vector<absl::string_view> lines = absl::StrSplit(output, '\n', absl::SkipWhitespace());
  return lines.empty() ? "" : Untrusted(lines.back());
}

std::string HowItDied(int wait_status, const JailOptions& options) {
  switch (const int signal = WTERMSIG(wait_status)) {
    case SIGXCPU:
      return absl::StrCat("takes more than ", options.limits.cpu_seconds, " s of CPU time");
    case SIGSEGV:
    case SIGBUS:
      return absl::StrCat("crashes (", strsignal(signal), ")");
    case SIGABRT:
      return "aborts";
    default:
      return absl::StrCat("ends by ", strsignal(signal));
  }
}

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
  FileDescriptor other;
  KEEL_ASSIGN_OR_RETURN(Channel channel, Channel::Open(&other));
  const PluginRef& ref = image.ref();
  KEEL_ASSIGN_OR_RETURN(ChildProcess child,
                        ChildProcess::Start(program,
                                            {ref.kind == PluginKind::kGraph ? "graph" : "plugin",
                                             absl::StrCat(options.limits.memory_bytes),
                                             absl::StrCat(options.limits.cpu_seconds), ref.name},
                                            {other.get(), image.fd()}));
  return JailedPlugin(ref, options, std::move(channel), std::move(child));
}

absl::Status JailedPlugin::AllowCpuTime() const {
  clockid_t clock;
  timespec used;
  if (clock_getcpuclockid(child_.pid(), &clock) != 0 || clock_gettime(clock, &used) != 0)
    return absl::OkStatus();  // it has ended, which its channel will say
  const rlimit limit = {static_cast<rlim_t>(used.tv_sec + 1 + options_.limits.cpu_seconds),
                        RLIM_INFINITY};
  if (prlimit(child_.pid(), RLIMIT_CPU, &limit, nullptr) == 0 || errno == ESRCH)
    return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "prlimit");
}

absl::StatusOr<proto::JailReply> JailedPlugin::Exchange(const proto::JailRequest& request,
                                                        absl::Time deadline) {
  KEEL_RETURN_IF_ERROR(channel_.Write(request.SerializeAsString(), deadline));
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, channel_.Read(kMaxFrameBytes, deadline));
  proto::JailReply reply;
  KEEL_RETURN_IF_ERROR(ParseStrict(bytes, kMaxReplyMessages, &reply));
  return reply;
}

absl::Status JailedPlugin::Ended(const absl::Status& error) {
  alive_ = false;
  const bool late = absl::IsDeadlineExceeded(error);
  const ChildResult child =
      child_.Finish(absl::Now() + (absl::IsUnavailable(error) ? kTimeToEnd : absl::ZeroDuration()));
  if (child.wait_status >= 0 && WIFEXITED(child.wait_status) &&
      WEXITSTATUS(child.wait_status) == Jail::kNotEntered) {
    return absl::FailedPreconditionError(
        absl::StrCat(label_, ": can't be jailed here: ", LastLine(child.output)));
  }
  std::string how;
  if (late) {
    how = absl::StrCat("takes longer than ", absl::FormatDuration(options_.wall_limit));
  } else if (!absl::IsUnavailable(error)) {
    how = absl::StrCat("answers what is no answer: ", error.message());
  } else if (child.timed_out) {
    how = "closes its channel to the host";
  } else if (child.wait_status < 0) {
    how = "ends its process";
  } else if (WIFSIGNALED(child.wait_status)) {
    how = HowItDied(child.wait_status, options_);
  } else if (WEXITSTATUS(child.wait_status) == Jail::kDenied) {
    how = absl::StrCat("calls ", DeniedCall(child.output), ", which a jail does not allow");
  } else {
    how = absl::StrCat("ends its process with status ", WEXITSTATUS(child.wait_status));
  }
  const std::string words = LastLine(child.output);
  const bool tell = !words.empty() && !absl::StartsWith(words, "denied system call");
  return absl::InvalidArgumentError(
      absl::StrCat(label_, ": in its jail, it ", how, tell ? ": " : "", tell ? words : ""));
}

absl::StatusOr<proto::JailReply> JailedPlugin::Ask(const proto::JailRequest& request,
                                                   const HostAnswers& host) {
  if (!alive_) return absl::UnavailableError(absl::StrCat(label_, ": its jail is gone"));
  const absl::Time deadline = absl::Now() + options_.wall_limit;
  if (absl::Status status = AllowCpuTime(); !status.ok()) return Ended(status);
  absl::StatusOr<proto::JailReply> answered = Exchange(request, deadline);
  while (answered.ok() && answered->has_question()) {
    proto::JailRequest next;
    *next.mutable_answer() = Answer(answered->question(), host);
    answered = Exchange(next, deadline);
  }
  if (!answered.ok()) return Ended(answered.status());
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
