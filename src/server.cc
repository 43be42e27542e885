#include "src/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>

#include <future>
#include <utility>

#include "src/errand.h"

namespace sluice {
namespace {

/// CPUs this process may run on.
unsigned usable_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

Server::Server(Config config, const uring::Features& features)
    : config_(std::move(config)), features_(features), front_(config_) {
  const unsigned count = config_.workers == 0 ? usable_cpus() : config_.workers;
  std::vector<Worker*> all;
  for (unsigned i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>(config_, features_, resolver_, front_, i));
    all.push_back(workers_.back().get());
  }
  front_.set_workers(std::move(all));
}

Server::~Server() = default;

std::optional<StartProblem> Server::open(Worker& worker) {
  std::string step;
  if (const std::error_code error = worker.open(step)) {
    return StartProblem{uring::explain_error(error.value(), step), false};
  }
  if (worker.index() != 0) return std::nullopt;
  auto problem = front_.listen(worker.ring());
  if (problem) return StartProblem{*std::move(problem), true};
  return std::nullopt;
}

std::optional<StartProblem> Server::start() {
  if (const std::error_code error = stop_ring_.open(16)) {
    return StartProblem{uring::explain_error(error.value(), "io_uring_setup"), false};
  }
  // A ring belongs to the thread that opens it. All are open, and the sockets bound, before the first one turns.
  std::promise<void> go;
  const std::shared_future<void> started = go.get_future().share();
  std::vector<std::future<std::optional<StartProblem>>> opened;
  for (auto& worker : workers_) {
    std::promise<std::optional<StartProblem>> outcome;
    opened.push_back(outcome.get_future());
    threads_.emplace_back([this, &worker = *worker, started, outcome = std::move(outcome)]() mutable {
      pthread_setname_np(pthread_self(), ("worker " + std::to_string(worker.index())).c_str());
      auto problem = open(worker);
      const bool good = !problem;
      outcome.set_value(std::move(problem));
      started.wait();
      if (good && !failed_) worker.run();
    });
  }
  std::optional<StartProblem> first;
  for (auto& each : opened) {
    auto problem = each.get();
    if (!first) first = std::move(problem);
  }
  failed_ = first.has_value();
  go.set_value();
  if (failed_) {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  return first;
}

void Server::stop() {
  for (auto& worker : workers_) run_in(*worker, stop_ring_, [&worker = *worker] { worker.stop(); });
  static_cast<void>(stop_ring_.wait(0, std::chrono::nanoseconds(0)));
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace sluice
