// A plugin's processor, in the jail: calls come as messages, and so does what only the host can do.
#ifndef KEEL_CORE_REMOTE_JAIL_PROCESSOR_H_
#define KEEL_CORE_REMOTE_JAIL_PROCESSOR_H_

#include <boost/json/value.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/config/config_view.h"
#include "core/plugin/plugin.h"
#include "core/remote/jail.pb.h"
#include "core/remote/jail_tensor.h"
#include "sdk/abi/plugin.h"

namespace keel {

class JailProcessor {
 public:
  using AskHost = std::function<absl::StatusOr<proto::HostAnswer>(proto::HostQuestion)>;

  static absl::StatusOr<std::unique_ptr<JailProcessor>> Create(std::shared_ptr<Plugin> plugin,
                                                               proto::OpenProcessor request,
                                                               AskHost ask_host);

  // Fills `delivered` or `counts` of the reply, `lacks_function` and `asked`.
  absl::Status Call(const proto::CallProcessor& call, proto::JailReply& reply);

 private:
  // A JSON text under the getters of keel_config_api.
  struct Document {
    Document(boost::json::value value, const std::string& where)
        : json(std::move(value)), view(json, where) {}
    boost::json::value json;
    ConfigDocument view;
  };

  // Of one call, as the ABI has them.
  struct Arguments {
    // Points into `call`.
    absl::Status Read(const proto::CallProcessor& call);

    std::vector<keel_media> media;
    std::vector<keel_media_count> counts;
    std::deque<keel_media> counted;    // what `counts` points to
    std::deque<Document> options;      // what `media` points to
    std::deque<RowMajorView> tensors;  // likewise
  };

  JailProcessor(std::shared_ptr<Plugin> plugin, proto::OpenProcessor request, AskHost ask_host);
  absl::Status Open();
  bool Has(proto::CallProcessor::Function function) const;
  absl::Status CallFunction(const proto::CallProcessor& call, proto::JailReply& reply);
  keel_status Dispatch(const proto::CallProcessor& call, Arguments& arguments,
                       const keel_sink* sink);
  absl::StatusOr<const std::string*> File(const char* name);

  static keel_status Read(void* self, const char* name, const void** data, size_t* n);
  static keel_config* Json(void* self, const char* name);
  static int64_t TokenId(void* self, const char* token);
  static keel_status Encode(void* self, keel_str text, const keel_sink* sink);
  static keel_status Resize(void* self, const keel_dl_tensor* image, uint32_t resample,
                            keel_dl_tensor* out);
  static keel_status Spectrum(void* self, const float* samples, int64_t n, const float* window,
                              int64_t n_fft, int64_t hop, keel_dl_tensor* out);

  const std::shared_ptr<Plugin> plugin_;
  const proto::OpenProcessor request_;
  const AskHost ask_host_;
  std::deque<Document> documents_;
  std::map<std::string, std::string> files_;  // of the checkpoint, that were read
  absl::Status unread_;                       // the first JSON that does not parse
  keel_assets assets_ = {};
  const keel_processor_class* class_ = nullptr;
  void* processor_ = nullptr;
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAIL_PROCESSOR_H_
