// Ctrl-C, SIGTERM and SIGHUP.
#ifndef KEEL_APPS_COMMON_SIGNALS_H_
#define KEEL_APPS_COMMON_SIGNALS_H_

#include <functional>

namespace keel::apps {

// Calls `on_first` on a thread of its own at the first SIGINT or SIGTERM; the second one ends the
// process at once, with `exit_code`. Call from main before other threads are made: they inherit that
// these signals go to that thread alone.
void HandleStopSignals(std::function<void()> on_first, int exit_code = 0);

// Calls `on_reload` on a thread of its own at each SIGHUP, which else ends a process. To be called
// before HandleStopSignals: each one's thread leaves the other's signals alone.
void HandleReloadSignal(std::function<void()> on_reload);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_SIGNALS_H_
