// The whole proxy as one object: its workers and their threads, from start to stop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/config.h"
#include "src/front.h"
#include "src/worker.h"
#include "uring/features.h"
#include "uring/resolver.h"

namespace sluice {

/// Why a server has not started.
struct StartProblem {
  std::string message;  ///< ready to print
  bool is_listener;     ///< an address could not be listened on; else the kernel gives no ring
};

/// Thread: start() and stop() belong to one thread, the main one.
class Server {
 public:
  /// `config` is valid and not changed any more.
  Server(Config config, const uring::Features& features);
  ~Server();

  /// Binds and starts all threads; nullopt on success.
  [[nodiscard]] std::optional<StartProblem> start();
  /// Stops accepting, lets clients' requests finish (five seconds at most), ends all threads.
  void stop();

  /// In their own threads only: see run_in().
  [[nodiscard]] const std::vector<Worker*>& workers() const { return front_.workers(); }

 private:
  /// In the worker's thread.
  [[nodiscard]] std::optional<StartProblem> open(Worker& worker);

  const Config config_;
  uring::Features features_;
  uring::Resolver resolver_;
  Front front_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  uring::Ring stop_ring_;  ///< opened at start: later, descriptors may have run out
  bool failed_ = false;    ///< a worker could not start; written before the threads go on
};

}  // namespace sluice
