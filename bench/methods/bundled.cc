#include "bench/methods/bundled.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "bench/methods/failure.h"
#include "uring/abi.h"

namespace methods {

constexpr std::uint32_t kBuffers = 512;  // for all routes together
constexpr std::uint32_t kBufferBytes = 16U << 10;
constexpr std::uint16_t kIncomingGroup = 0;

namespace {

char* map(std::size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) fail("mmap", errno);
  return static_cast<char*>(mapping);
}

}  // namespace

void BufferLine::open(uring::Ring& ring, std::uint16_t group, std::uint32_t entries) {
  char* memory = map(entries * sizeof(io_uring_buf));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  registration.ring_entries = entries;
  registration.bgid = group;
  const int result = io_uring_register_buf_ring(ring.native(), &registration, 0);
  if (result < 0) fail("registering a buffer ring", -result);
  entries_ = reinterpret_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(entries_);
  ids_.resize(entries);
  mask_ = entries - 1;
  group_ = group;
}

void BufferLine::add(char* bytes, std::uint32_t length, std::uint16_t id) {
  ids_[tail_++ & mask_] = id;
  io_uring_buf_ring_add(entries_, bytes, length, id, static_cast<int>(mask_), added_++);
}

void BufferLine::publish() {
  io_uring_buf_ring_advance(entries_, std::exchange(added_, 0));
}

std::uint16_t BufferLine::take() {
  if (empty()) fail("a bundle took more buffers than there were", EPROTO);
  return ids_[head_++ & mask_];
}

void Bundled::start() {
  if (!work_.features.receive_bundles) fail("bundles", EOPNOTSUPP);
  memory_ = map(std::size_t{kBuffers} * kBufferBytes);
  incoming_.open(work_.ring, kIncomingGroup, kBuffers);
  for (std::uint16_t i = 0; i < kBuffers; ++i) incoming_.add(address(i), kBufferBytes, i);
  incoming_.publish();
  std::uint16_t group = kIncomingGroup;
  for (const Route& route : work_.routes) lines_.emplace_back(*this, route, ++group).receive();
}

bool Bundled::end_turn() {
  for (Line& line : lines_) line.flush();
  for (Line& line : lines_) {
    if (line.starved() && !incoming_.empty()) line.receive();
  }
  return false;
}

char* Bundled::address(std::uint16_t buffer) {
  return memory_ + std::size_t{buffer} * kBufferBytes;
}

void Bundled::give_back(std::uint16_t buffer) {
  incoming_.add(address(buffer), kBufferBytes, buffer);
}

Bundled::Line::Line(Bundled& method, Route route, std::uint16_t group)
    : method_(method),
      route_(route),
      receive_(uring::Operation::bound<&Line::on_receive>(this)),
      send_(uring::Operation::bound<&Line::on_send>(this)) {
  outgoing_.open(method.work_.ring, group, kBuffers);
}

void Bundled::Line::receive() {
  method_.work_.ring.start(receive_, [this](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, route_.source, nullptr, 0, 0);
    sqe->ioprio |= uring::abi::kReceiveSendBundle;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = method_.incoming_.group();
  });
}

void Bundled::Line::on_receive(uring::Completion completion) {
  if (completion.result == -ENOBUFS) return;
  if (completion.result <= 0) fail("receiving", -completion.result);
  const auto first = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  std::uint32_t left = static_cast<std::uint32_t>(completion.result);
  const std::size_t before = received_.size();
  while (left > 0) {
    const std::uint32_t length = std::min(left, kBufferBytes);
    received_.push_back({method_.incoming_.take(), length});
    left -= length;
  }
  if (received_[before].buffer != first) fail("a bundle began with another buffer", EPROTO);
}

void Bundled::Line::flush() {
  if (send_.in_flight() || received_.empty()) return;
  for (const Piece& piece : received_) {
    outgoing_.add(method_.address(piece.buffer), piece.length, piece.buffer);
    sending_.push_back(piece);
  }
  received_.clear();
  outgoing_.publish();
  send();
}

void Bundled::Line::send() {
  method_.work_.ring.start(send_, [this](io_uring_sqe* sqe) {
    io_uring_prep_send(sqe, route_.target, nullptr, 0, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->ioprio |= uring::abi::kReceiveSendBundle;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = outgoing_.group();
  });
}

/// One bundle ends at the kernel's bound of pieces; then there are more completions, or the rest is sent anew.
void Bundled::Line::on_send(uring::Completion completion) {
  if (completion.result < 0 && completion.result != -ENOBUFS) fail("sending", -completion.result);
  std::int64_t left = std::max(completion.result, 0);
  method_.work_.bytes += static_cast<std::uint64_t>(left);
  for (; left > 0; sending_.pop_front()) {
    left -= sending_.front().length;
    method_.give_back(outgoing_.take());
  }
  if (left < 0) fail("a bundle was sent in part", EIO);
  method_.incoming_.publish();
  if (!completion.more() && !sending_.empty()) send();
}

}  // namespace methods
