// The loop of a chat: turns and commands in, answers out.
#ifndef KEEL_APPS_CHAT_CHAT_H_
#define KEEL_APPS_CHAT_CHAT_H_

#include <atomic>
#include <ostream>

#include "apps/chat/chat_session.h"
#include "apps/chat/line_source.h"

namespace keel::apps {

// Runs until `lines` end or /exit. Answers go to `out`, what else is to say to `err`; escape sequences
// of a terminal only if `has_colours`. `stop` is what the session looks at, reset before each answer.
// Returns whether all answers could be given.
bool RunChat(ChatSession& session, LineSource& lines, std::ostream& out, std::ostream& err,
             bool has_colours, std::atomic<bool>& stop);

}  // namespace keel::apps

#endif  // KEEL_APPS_CHAT_CHAT_H_
