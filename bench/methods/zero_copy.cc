#include "bench/methods/zero_copy.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "bench/methods/failure.h"

namespace methods {

constexpr std::uint32_t kSlotBytes = 128U << 10;

void ZeroCopy::start() {
  if (!work_.features.send_zero_copy) fail("SEND_ZC", EOPNOTSUPP);
  const std::size_t count = work_.routes.size() * kSlots;
  void* mapping =
      mmap(nullptr, count * kSlotBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (mapping == MAP_FAILED) fail("mmap", errno);
  char* memory = static_cast<char*>(mapping);
  std::vector<iovec> pieces;
  for (std::size_t i = 0; i < count; ++i) pieces.push_back({memory + i * kSlotBytes, kSlotBytes});
  const int result = io_uring_register_buffers(work_.ring.native(), pieces.data(), static_cast<unsigned>(count));
  if (result < 0) fail("registering buffers", -result);
  for (std::size_t i = 0; i < work_.routes.size(); ++i) {
    const std::size_t first = i * kSlots;
    lines_.emplace_back(work_, work_.routes[i], memory + first * kSlotBytes, static_cast<std::uint16_t>(first)).pump();
  }
}

ZeroCopy::Slot::Slot(Line& owner, char* memory, std::uint16_t registered)
    : line(owner),
      bytes(memory),
      index(registered),
      receive(uring::Operation::bound<&Slot::on_receive>(this)),
      send(uring::Operation::bound<&Slot::on_send>(this)) {}

void ZeroCopy::Slot::on_receive(uring::Completion completion) {
  if (completion.result <= 0) fail("receiving", completion.result < 0 ? -completion.result : ECONNRESET);
  length = static_cast<std::uint32_t>(completion.result);
  state = State::kFull;
  line.on_received();
  line.pump();
}

/// Twice for each send: that the bytes are queued, then (the notification) that the pages are ours again.
void ZeroCopy::Slot::on_send(uring::Completion completion) {
  if ((completion.flags & IORING_CQE_F_NOTIF) == 0) {
    if (completion.result < 0) fail("sending", -completion.result);
    if (static_cast<std::uint32_t>(completion.result) != length) fail("a short send", EIO);
    line.on_sent(length);
  }
  if (!completion.more()) state = State::kFree;
  line.pump();
}

ZeroCopy::Line::Line(Work& work, Route route, char* memory, std::uint16_t first_index) : work_(work), route_(route) {
  for (std::size_t i = 0; i < kSlots; ++i) {
    slots_.emplace_back(*this, memory + i * kSlotBytes, static_cast<std::uint16_t>(first_index + i));
  }
}

void ZeroCopy::Line::pump() {
  if (!receiving_ && slots_[next_receive_].state == Slot::State::kFree) receive(slots_[next_receive_]);
  if (!sending_ && slots_[next_send_].state == Slot::State::kFull) send(slots_[next_send_]);
}

void ZeroCopy::Line::receive(Slot& slot) {
  receiving_ = true;
  slot.state = Slot::State::kReceiving;
  next_receive_ = (next_receive_ + 1) % kSlots;
  work_.ring.start(slot.receive, [&](io_uring_sqe* sqe) {
    io_uring_prep_read_fixed(sqe, route_.source, slot.bytes, kSlotBytes, 0, slot.index);
  });
}

void ZeroCopy::Line::send(Slot& slot) {
  sending_ = true;
  slot.state = Slot::State::kSending;
  next_send_ = (next_send_ + 1) % kSlots;
  work_.ring.start(slot.send, [&](io_uring_sqe* sqe) {
    io_uring_prep_send_zc(sqe, route_.target, slot.bytes, slot.length, MSG_NOSIGNAL | MSG_WAITALL, 0);
    sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
    sqe->buf_index = slot.index;
  });
}

void ZeroCopy::Line::on_sent(std::uint64_t bytes) {
  sending_ = false;
  work_.bytes += bytes;
}

}  // namespace methods
