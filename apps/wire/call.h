// A valid call, whatever the protocol it came in.
#ifndef KEEL_APPS_WIRE_CALL_H_
#define KEEL_APPS_WIRE_CALL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/wire/answer.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What no call may ask for more of.
struct CallLimits {
  int64_t max_logprobs = 20;   // alternatives of a token; -1: all
  int64_t max_sequences = -1;  // all prompts times n; -1: any number
};

// What a call is read against.
struct CallContext {
  const Engine& engine;    // must outlive the call: texts of tokens come from it
  std::string model;       // the name to answer with
  std::string request_id;  // unique
  CallLimits limits = {};
  bool incremental_streams = false;  // SGLang's events have what is new alone
};

// What the engine is asked, and how to answer.
struct Call {
  std::vector<Request> requests;            // one a prompt; none: the answer is known already
  std::string id;                           // the client's own name for it; empty: none
  std::vector<std::string> unknown_fields;  // of the body: nobody reads them
  bool stream = false;                      // answer in pieces, as they come
  std::unique_ptr<Answer> answer;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_CALL_H_
