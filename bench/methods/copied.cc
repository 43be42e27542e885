#include "bench/methods/copied.h"

#include <cerrno>

#include "bench/methods/failure.h"

namespace methods {

// As the lanes of a worker have them (src/limits.h).
constexpr std::uint32_t kBuffers = 64;
constexpr std::uint32_t kBufferBytes = 128U << 10;
constexpr std::uint32_t kChunkBytes = 32U << 10;
constexpr std::size_t kKeptChunkBytes = 16U << 20;
constexpr std::size_t kPauseBytes = 1U << 20;

Copied::Copied(Work& work)
    : work_(work),
      chunks_(kChunkBytes, kKeptChunkBytes),
      room_{.ring = work.ring, .buffers = buffers_, .chunks = chunks_} {}

void Copied::start() {
  const bool dense = work_.features.incremental_buffers;
  if (const auto error = buffers_.open(work_.ring, 0, kBuffers, kBufferBytes, dense)) {
    fail("registering buffers", error.value());
  }
  for (const Route& route : work_.routes) {
    sources_.emplace_back(room_, targets_.emplace_back(room_, route.target), route.source);
  }
}

bool Copied::end_turn() {
  for (Target& target : targets_) target.stream().flush();
  room_.rearm();
  work_.bytes = room_.bytes_sent;
  return false;
}

Copied::Target::Target(uring::StreamRoom& room, int fd) : stream_(room, *this) {
  stream_.open(fd);
}

void Copied::Target::on_received(uring::Lease) {
  fail("the receiver spoke", EPROTO);
}

void Copied::Target::on_ended(int error) {
  fail("sending", error);
}

void Copied::Target::on_sent() {
  if (stream_.queue().bytes() < kPauseBytes) source_->resume();
}

Copied::Source::Source(uring::StreamRoom& room, Target& target, int fd)
    : room_(room), target_(target), stream_(room, *this) {
  target.feed(&stream_);
  stream_.open(fd);
}

void Copied::Source::on_received(uring::Lease lease) {
  target_.stream().queue().append(room_.chunks, lease.bytes());
  if (target_.stream().queue().bytes() >= kPauseBytes) stream_.pause();
}

void Copied::Source::on_ended(int error) {
  fail("receiving", error);
}

}  // namespace methods
