#include "apps/common/signals.h"

#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <thread>
#include <utility>

namespace keel::apps {

namespace {

// Keeps the signals for a thread that waits for them.
sigset_t Block(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : numbers) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

}  // namespace

void HandleStopSignals(std::function<void()> on_first, int exit_code) {
  const sigset_t signals = Block({SIGINT, SIGTERM});
  std::thread([signals, exit_code, on_first = std::move(on_first)] {
    int signal = 0;
    sigwait(&signals, &signal);
    on_first();
    sigwait(&signals, &signal);
    std::_Exit(exit_code);
  }).detach();
}

void HandleReloadSignal(std::function<void()> on_reload) {
  Block({SIGINT, SIGTERM});
  std::thread([signals = Block({SIGHUP}), on_reload = std::move(on_reload)] {
    for (int signal = 0; sigwait(&signals, &signal) == 0;) on_reload();
  }).detach();
}

}  // namespace keel::apps
