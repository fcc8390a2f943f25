#include "apps/server/batch_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "apps/batch/batch_line.h"
#include "apps/batch/line_reader.h"
#include "apps/wire/fields.h"
#include "apps/wire/model_field.h"

namespace keel::apps {
namespace {

constexpr size_t kMaxFaults = 50;

// The words that OpenAI has for them.
const char* CodeOf(const CallError& error) {
  if (error.code == ErrorCode::kModelNotFound) return "model_not_found";
  if (error.field == "custom_id") return "missing_custom_id";
  if (error.field == "method") return "invalid_method";
  if (error.field == "url") return "invalid_url";
  return error.field.empty() ? "invalid_json_line" : "invalid_request";
}

class InputReader {
 public:
  explicit InputReader(const BatchInputRules& rules) : rules_(rules) {}

  // Not ok: the log of attempts cannot be written.
  Status Take(const LineReader::Line& line) {
    if (!line.is_too_long && line.text.find_first_not_of(" \t") == std::string::npos)
      return Status();
    if (++input_.lines > rules_.max_lines) return Status();
    if (line.is_too_long) {
      Fail(line.number, "invalid_json_line",
           InvalidField(
               "", "the line is longer than " + std::to_string(rules_.max_line_bytes) + " bytes"));
      return Status();
    }
    if (rules_.attempts == nullptr) {
      Read(line);
      return Status();
    }
    const int crashes = rules_.attempts->crashes_reading(line.number);
    if (crashes >= rules_.max_crashes) {
      Fail(line.number, "process_died",
           InvalidField("", std::to_string(crashes) + " processes died while they read this line"));
      return Status();
    }
    if (Status status = rules_.attempts->Read(line.number); !status.ok()) return status;
    Read(line);
    return rules_.attempts->HasRead();
  }

  BatchInput TakeResult() {
    if (input_.lines == 0 && input_.faults.empty()) {
      Fail(0, "empty_file", InvalidField("input_file_id", "the input file has no lines"));
    }
    if (input_.lines > rules_.max_lines) {
      Fail(0, "too_many_requests",
           InvalidField("input_file_id", "the input file has " + std::to_string(input_.lines) +
                                             " lines, expected at most " +
                                             std::to_string(rules_.max_lines) +
                                             " (--max-batch-lines)"));
    }
    return std::move(input_);
  }

 private:
  void Read(const LineReader::Line& line) {
    BatchRequest request;
    if (const MaybeError error = ReadBatchRequest(line.text, line.number, &request))
      return Fail(line.number, CodeOf(*error), *error);
    Check(line.number, request);
  }

  void Check(int64_t number, const BatchRequest& request) {
    const auto [first, is_new] = seen_.emplace(*request.custom_id, number);
    if (!is_new) {
      return Fail(
          number, "duplicate_custom_id",
          InvalidField("custom_id", "custom_id " + Quote(*request.custom_id) + " is that of line " +
                                        std::to_string(first->second) + " too"));
    }
    if (request.url != rules_.endpoint) {
      return Fail(number, "invalid_url",
                  InvalidField("url", "url is " + Quote(request.url) +
                                          ", expected the batch's endpoint, " + rules_.endpoint));
    }
    std::string model;
    if (const MaybeError error = ReadModelName(request.body, rules_.model_names, &model))
      return Fail(number, CodeOf(*error), *error);
    if (input_.model.empty()) input_.model = model;
    if (model != input_.model) {
      Fail(
          number, "mismatched_model",
          InvalidField("model", "model is " + Quote(model) +
                                    ", expected that of the lines before, " + Quote(input_.model)));
    }
  }

  void Fail(int64_t line, const char* code, const CallError& error) {
    if (input_.faults.size() >= kMaxFaults) return;
    input_.faults.push_back(
        {.code = code, .message = error.message, .param = error.field, .line = line});
  }

  const BatchInputRules& rules_;
  std::unordered_map<std::string, int64_t> seen_;  // custom_id -> its line
  BatchInput input_;
};

}  // namespace

Result<BatchInput> ReadBatchInput(const std::string& path, const BatchInputRules& rules) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status(Code::kNotFound, path + " cannot be read: " + std::strerror(errno));
  LineReader reader(fd, path, rules.max_line_bytes);
  InputReader input(rules);
  LineReader::Line line;
  Status status;
  while (true) {
    const Result<LineReader::Next> next = reader.Read(&line);
    status = next.status();
    if (!next.ok() || *next == LineReader::Next::kEnd) break;
    if (*next == LineReader::Next::kLine) status = input.Take(line);
    if (!status.ok()) break;
  }
  close(fd);
  if (!status.ok()) return status;
  return input.TakeResult();
}

}  // namespace keel::apps
