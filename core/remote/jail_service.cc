#include "core/remote/jail_service.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/graph/graph_file.h"
#include "core/graph/record_model.h"
#include "core/plugin/catalog.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/loader.h"
#include "core/remote/channel.h"
#include "core/remote/jail.pb.h"
#include "core/remote/jail_processor.h"

namespace keel {
namespace {

constexpr size_t kMaxLogBytes = 16 << 10;

class JailService {
 public:
  JailService(const Jail& jail, int channel, FileDescriptor plugin, std::string name)
      : jail_(jail),
        channel_(channel),
        file_(std::move(plugin)),
        name_(std::move(name)),
        loader_(&Interfaces(), [this](int level, absl::string_view plugin, absl::string_view where,
                                      absl::string_view message) {
          if (level < 2 || log_.size() > kMaxLogBytes) return;
          absl::StrAppend(&log_, "plugin ", plugin, ": ", where, ": ", message, "\n");
        }) {}

  proto::JailReply Answer(const proto::JailRequest& request) {
    proto::JailReply reply;
    const absl::Status status = Try(request, reply);
    reply.set_code(static_cast<int>(status.code()));
    reply.set_message(std::string(status.message()));
    reply.set_log(std::exchange(log_, ""));
    return reply;
  }

 private:
  absl::Status Try(const proto::JailRequest& request, proto::JailReply& reply) {
    KEEL_RETURN_IF_ERROR(Load());
    switch (request.kind_case()) {
      case proto::JailRequest::kRecord:
        return Record(request.record(), reply);
      case proto::JailRequest::kOpenProcessor: {
        KEEL_ASSIGN_OR_RETURN(processor_, JailProcessor::Create(plugin_, request.open_processor(),
                                                                [this](proto::HostQuestion q) {
                                                                  return AskHost(std::move(q));
                                                                }));
        return absl::OkStatus();
      }
      case proto::JailRequest::kCallProcessor:
        if (processor_ == nullptr) return absl::FailedPreconditionError("no processor is open");
        return processor_->Call(request.call_processor(), reply);
      case proto::JailRequest::kReadGraph:
      case proto::JailRequest::kAnswer:
      case proto::JailRequest::KIND_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("a request of no kind");
  }

  absl::Status Load() {
    if (plugin_ != nullptr) return absl::OkStatus();
    KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, jail_.Admit(std::move(file_), name_));
    KEEL_ASSIGN_OR_RETURN(plugin_, loader_.Load(std::move(image)));
    return absl::OkStatus();
  }

  absl::Status Record(const proto::RecordRequest& request, proto::JailReply& reply) {
    KEEL_ASSIGN_OR_RETURN(const boost::json::value config,
                          ParseJson(request.config_json(), request.where()));
    ModelChoice choice;
    choice.architecture = request.architecture();
    choice.model_type = request.model_type();
    ModelSource source;
    KEEL_ASSIGN_OR_RETURN(source.model_class, FindModelClass(*plugin_, choice));
    source.plugin = plugin_->self();
    source.plugin_name = absl::StrCat(plugin_->ref().note.id, " ", plugin_->ref().note.version);
    source.call = [this](absl::string_view what, absl::FunctionRef<keel_status()> call) {
      return plugin_->Call(what, call);
    };
    source.kernels = {plugin_->classes().kernels, plugin_->self(), source.call};
    KEEL_ASSIGN_OR_RETURN(const RecordedModel model, RecordModel(source, config, request.where()));
    reply.set_graph(SerializeGraphFile(model.graph));
    return absl::OkStatus();
  }

  absl::StatusOr<proto::HostAnswer> AskHost(proto::HostQuestion question) {
    proto::JailReply reply;
    *reply.mutable_question() = std::move(question);
    KEEL_RETURN_IF_ERROR(WriteFrame(channel_, reply.SerializeAsString()));
    KEEL_ASSIGN_OR_RETURN(const std::string frame, ReadFrame(channel_));
    proto::JailRequest request;
    if (!request.ParseFromString(frame) || !request.has_answer())
      return absl::InternalError("the host gives no answer");
    proto::HostAnswer& answer = *request.mutable_answer();
    if (answer.code() != 0)
      return absl::Status(static_cast<absl::StatusCode>(answer.code()), answer.message());
    return std::move(answer);
  }

  const Jail& jail_;
  const int channel_;
  FileDescriptor file_;
  const std::string name_;
  std::string log_;
  PluginLoader loader_;
  std::shared_ptr<Plugin> plugin_;
  std::unique_ptr<JailProcessor> processor_;
};

}  // namespace

int RunJail(int channel, FileDescriptor plugin, const std::string& plugin_name,
            const JailLimits& limits) {
  const absl::StatusOr<Jail> jail = Jail::Enter(limits);
  if (!jail.ok()) {
    std::fprintf(stderr, "%s\n", std::string(jail.status().message()).c_str());
    return Jail::kNotEntered;
  }
  // Never destroyed: nothing in here is worth a plugin's shutdown.
  auto* service = new JailService(*jail, channel, std::move(plugin), plugin_name);
  while (true) {
    absl::StatusOr<std::string> frame = ReadFrame(channel);
    if (!frame.ok()) return 0;
    proto::JailRequest request;
    request.ParseFromString(std::string(*std::move(frame)));  // gone before the call needs memory
    if (!WriteFrame(channel, service->Answer(request).SerializeAsString()).ok()) return 0;
  }
}

}  // namespace keel
