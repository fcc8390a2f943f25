#include "apps/common/signals.h"

#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

namespace keel::apps {

void HandleStopSignals(std::function<void()> on_first) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, on_first = std::move(on_first)] {
    int signal = 0;
    sigwait(&signals, &signal);
    on_first();
    sigwait(&signals, &signal);
    std::_Exit(0);
  }).detach();
}

}  // namespace keel::apps
