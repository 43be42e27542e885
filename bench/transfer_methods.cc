// Moves messages from sockets to other sockets by one method for a while, and tells what that cost; bench/transfer runs
// it for every method, size and number of routes. Prints one line of JSON.
//   transfer_methods <method> <message bytes> <routes> <milliseconds> <congestion control>
//   transfer_methods cancel <cycles>
// The far ends are a process of their own. CPU is that of this process, whose only thread of ours is the ring's; the
// kernel's io-wq threads that work for it belong to it, and are counted.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

#include "bench/methods/bundled.h"
#include "bench/methods/cancel_cost.h"
#include "bench/methods/copied.h"
#include "bench/methods/cpu_clock.h"
#include "bench/methods/ends.h"
#include "bench/methods/failure.h"
#include "bench/methods/leased.h"
#include "bench/methods/method.h"
#include "bench/methods/plain.h"
#include "bench/methods/punted.h"
#include "bench/methods/spliced.h"
#include "bench/methods/zero_copy.h"

namespace methods {
namespace {

using Clock = std::chrono::steady_clock;
using Start = SpliceChoice::Start;

constexpr auto kWarmUp = std::chrono::milliseconds(25);
constexpr auto kPatience = std::chrono::microseconds(200);  // as a worker has it
constexpr unsigned kTimeLimitSeconds = 30;
constexpr unsigned kRingEntries = 1024;
constexpr std::uint32_t kKilobyte = 1U << 10;

template <std::uint32_t kBuffers, bool kGathers = false>
std::unique_ptr<Method> leased(Work& work) {
  return std::make_unique<Leased>(work, kBuffers, kGathers);
}

template <typename Type>
std::unique_ptr<Method> simple(Work& work) {
  return std::make_unique<Type>(work);
}

template <std::uint32_t kPipeKilobytes>
std::unique_ptr<Method> punted(Work& work) {
  return std::make_unique<Punted>(work, kPipeKilobytes * kKilobyte);
}

template <typename PipeType, std::uint32_t kPipeKilobytes, std::uint32_t kLowWaterKilobytes = 0>
std::unique_ptr<Method> spliced(Work& work) {
  return std::make_unique<Spliced<PipeType>>(
      work, SpliceChoice{.pipe_bytes = kPipeKilobytes * kKilobyte, .low_water_bytes = kLowWaterKilobytes * kKilobyte});
}

template <Start kStart, std::uint32_t kHeadKilobytes = 0>
std::unique_ptr<Method> received_first(Work& work) {
  return std::make_unique<Spliced<uring::Pipe>>(
      work, SpliceChoice{.start = kStart, .head_bytes = kHeadKilobytes * kKilobyte});
}

struct Row {
  std::string_view name;
  std::unique_ptr<Method> (*make)(Work& work);
};

constexpr Row kRows[] = {
    {"plain", simple<Plain>},
    {"copied", simple<Copied>},
    {"leased", leased<64>},
    {"leased-1m", leased<8>},
    {"leased-gathering", leased<64, true>},
    {"bundled", simple<Bundled>},
    {"zero-copy", simple<ZeroCopy>},
    {"splice-64k", spliced<uring::Pipe, 64>},
    {"splice-256k", spliced<uring::Pipe, 256>},
    {"splice-1m", spliced<uring::Pipe, 1024>},
    {"splice-64k-lowat-64k", spliced<uring::Pipe, 64, 64>},
    {"splice-256k-lowat-128k", spliced<uring::Pipe, 256, 128>},
    {"splice-256k-lowat-256k", spliced<uring::Pipe, 256, 256>},
    {"splice-1m-lowat-512k", spliced<uring::Pipe, 1024, 512>},
    {"splice-256k-nonblock", spliced<QuietPipe, 256>},
    {"splice-256k-after-head", received_first<Start::kReceive, 4>},
    {"splice-256k-after-receive", received_first<Start::kReceive>},
    {"splice-256k-after-cancel", received_first<Start::kMultishot>},
    {"op-splice-64k", punted<64>},
    {"op-splice-256k", punted<256>},
    {"op-splice-1m", punted<1024>},
};

struct Cost {
  double seconds, cpu_seconds;
  std::uint64_t bytes, turns, calls;
};

/// Where the counters stand now.
Cost reading(const Work& work) {
  return {std::chrono::duration<double>(Clock::now().time_since_epoch()).count(), cpu_seconds(), work.bytes,
          work.ring.counters().turns, work.calls};
}

/// nullptr when no method has that name.
std::unique_ptr<Method> make_method(std::string_view name, Work& work) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.make(work);
  }
  return nullptr;
}

void run_until(Work& work, Method& method, Clock::time_point end) {
  bool hurried = true;  // a method may have work left from before
  while (Clock::now() < end) {
    const auto patience = hurried ? std::chrono::microseconds(0) : kPatience;
    if (const auto error = work.ring.wait(hurried ? 0 : 1, patience, hurried)) fail("the ring", error.value());
    work.ring.deliver();
    hurried = method.end_turn();
  }
}

void measure(Work& work, Ends& ends, Method& method, std::chrono::milliseconds time) {
  method.start();
  run_until(work, method, Clock::now() + kWarmUp);
  ends.hurry();
  run_until(work, method, Clock::now() + kWarmUp);
  const std::uint64_t messages = ends.messages();
  const Cost before = reading(work);
  run_until(work, method, Clock::now() + time);
  const Cost after = reading(work);
  std::printf("{\"bytes\": %lu, \"messages\": %lu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, ",
              after.bytes - before.bytes, ends.messages() - messages, after.seconds - before.seconds,
              after.cpu_seconds - before.cpu_seconds);
  std::printf("\"turns\": %lu, \"calls\": %lu}\n", after.turns - before.turns, after.calls - before.calls);
}

void print_cancel(Work& work, std::uint64_t cycles) {
  const CancelCost cost = measure_cancel(work, cycles);
  std::printf("{\"cycles\": %lu, \"cpu_us_armed\": %.4f, \"cpu_us_idle\": %.4f}\n", cost.cycles, cost.cpu_us_armed,
              cost.cpu_us_idle);
}

void run(std::span<char*> words) {
  const std::string_view name = words[1];
  const auto number = [&](std::size_t i) { return std::strtoull(words[i], nullptr, 10); };
  const bool cancels = name == "cancel";
  if (words.size() != (cancels ? 3 : 6))
    fail("<method> <message bytes> <routes> <milliseconds> <congestion control>", EINVAL);
  const std::uint64_t message_bytes = cancels ? 0 : number(2);
  Ends ends(cancels ? 1 : static_cast<unsigned>(number(3)), message_bytes, cancels ? "reno" : words[5]);
  uring::Ring ring;
  if (const auto error = ring.open(kRingEntries)) fail("opening a ring", error.value());
  const uring::Probe probe = uring::probe_features();
  Work work{.ring = ring, .features = probe.features, .routes = ends.routes(), .message_bytes = message_bytes};
  if (cancels) {
    print_cancel(work, number(2));
  } else {
    // Never destroyed: its operations stay in flight.
    Method* method = make_method(name, work).release();
    if (method == nullptr) fail("no such method", EINVAL);
    measure(work, ends, *method, std::chrono::milliseconds(number(4)));
  }
  std::fflush(stdout);
  ends.stop();
  std::_Exit(0);
}

}  // namespace

}  // namespace methods

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL
  alarm(methods::kTimeLimitSeconds);
  if (argc < 2) methods::fail("a method is needed", EINVAL);
  methods::run({argv, static_cast<std::size_t>(argc)});
}
