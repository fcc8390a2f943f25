#include "apps/common/signals.h"

#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

namespace keel::apps {

void HandleStopSignals(std::function<void()> on_first, int exit_code) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, exit_code, on_first = std::move(on_first)] {
    int signal = 0;
    sigwait(&signals, &signal);
    on_first();
    sigwait(&signals, &signal);
    std::_Exit(exit_code);
  }).detach();
}

}  // namespace keel::apps
