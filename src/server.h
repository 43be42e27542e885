// The whole proxy as one object: its workers and their threads, from start to stop.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/config.h"
#include "src/front.h"
#include "src/worker.h"
#include "uring/features.h"
#include "uring/resolver.h"

namespace sluice {

/// Thread: start() and stop() belong to one thread, the main one.
class Server {
 public:
  /// `config` is valid and not changed any more.
  Server(Config config, const uring::Features& features);
  ~Server();

  /// Binds and starts all threads; empty on success, else why not, ready to print.
  [[nodiscard]] std::string start();
  /// Stops accepting, lets clients' requests finish (five seconds at most), ends all threads.
  void stop();

 private:
  class Stop;

  const Config config_;
  uring::Features features_;
  uring::Resolver resolver_;
  Front front_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  bool failed_ = false;  ///< a worker could not start; written before the threads go on
};

}  // namespace sluice
