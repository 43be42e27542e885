// A request that has been sent (or waits to be) and the place its reply will take.
//
// It stands in two lines at once: its lane's (replies come in the order of requests) and its owner's (the client's
// order). Its request's bytes are kept, by reference, until the reply has come, so that a redirect can send them again.
// Thread: one worker.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "resp/command_table.h"
#include "resp/types.h"
#include "uring/send_queue.h"

namespace pool {

class ReplySink;

/// Bytes of a reply held back until its turn: small ones in place, larger ones on the heap. One of a union's two:
/// begin() makes it, end() lets go of it.
class HeldBytes {
 public:
  void begin(std::string_view bytes);
  void end() {
    if (on_heap()) ::operator delete(heap_);
  }
  [[nodiscard]] std::string_view view() const { return {on_heap() ? heap_ : inline_, size_}; }

 private:
  static constexpr std::uint32_t kInline = 24;  // "+OK", integers, short values
  [[nodiscard]] bool on_heap() const { return size_ > kInline; }

  union {
    char inline_[kInline];
    char* heap_;
  };
  std::uint32_t size_;
};

/// What the request is to the proxy; fixed when it is made.
struct RequestKind {
  static constexpr std::uint16_t kNoSlot = 0xffff;

  std::uint16_t slot = kNoSlot;  ///< where it goes by its key; kNoSlot: any node, or a node given by hand
  std::uint16_t database = 0;
  resp::Protocol protocol = resp::Protocol::kResp2;
  bool read_only : 1 = false;     ///< harmless to run twice, may go to a replica
  bool fixed_node : 1 = false;    ///< meant for one node: never sent to another
  bool several_keys : 1 = false;  ///< of one slot: while the slot moves it may have to wait (TRYAGAIN)
  bool scripted : 1 = false;      ///< its error texts may be the client's own words (scripts, module commands)
  bool silent : 1 = false;        ///< the client asked for no reply (CLIENT REPLY OFF or SKIP)
  bool large : 1 = false;         ///< on a large lane: its key's value was large
  bool split : 1 = false;         ///< stands for several requests, of several slots
  bool urgent : 1 = false;        ///< answered while a script runs: on a connection that waits for none
};

/// One cache line: tens of thousands of these are in flight, and each is looked at three times.
struct alignas(64) PendingReply {
  enum class State : std::uint8_t { kWaiting, kReady };

  /// What is known of a request until its reply has come.
  struct Waiting {
    uring::ChunkSpan request;      ///< holds one reference while chunk is set
    std::uint32_t position = 0;    ///< where the request ends in the lane's output, bytes modulo 2^32
    std::uint32_t started_ms = 0;  ///< when the client's request was taken, worker clock modulo 2^32
  };

  ReplySink* sink = nullptr;     ///< whom it is for; null: nobody any more, the reply is dropped
  PendingReply* next = nullptr;  ///< owner's line
  union {
    Waiting waiting{};  ///< while kWaiting
    HeldBytes held;     ///< the reply, while kReady
  };
  std::uint32_t salt = 0;  ///< the client's, see Node::lane
  RequestKind kind;
  std::uint8_t hops : 7 = 0;  ///< redirects followed so far
  bool in_doubt : 1 = false;  ///< on no connection: what becomes of it depends on later ones
  State state = State::kWaiting;
  std::uint16_t part = 0;  ///< the owner's number of this part of a split command

  [[nodiscard]] std::string_view request_bytes() const { return waiting.request.bytes(); }
};
static_assert(sizeof(PendingReply) == 64);

/// All pending replies of one worker.
///
/// At high loads they are more than the cache holds. They come in blocks, and a block's rows are taken in their order:
/// a pipeline's lie side by side, which the processor sees and calls for what comes next by itself. A block is taken
/// from again once half of it is free, so there are never more rows than twice what was in use at once, and a block.
class PendingReplies {
 public:
  explicit PendingReplies(uring::ChunkPool& chunks) : chunks_(chunks) { change_block(); }
  PendingReplies(const PendingReplies&) = delete;
  PendingReplies& operator=(const PendingReplies&) = delete;

  [[nodiscard]] PendingReply& take() {
    if (current_->free == 0) [[unlikely]]
      change_block();
    const auto place = static_cast<unsigned>(std::countr_zero(current_->free));
    current_->free &= current_->free - 1;
    ++current_->used;
    ++in_use_;
    __builtin_prefetch(&current_->rows[0] + place + kAhead, 1);
    return *new (&current_->rows[place]) PendingReply;
  }
  void release(PendingReply& pending) {
    if (pending.state == PendingReply::State::kReady) {
      pending.held.end();
    } else {
      drop_request(pending);
    }
    Block& block = *reinterpret_cast<Block*>(reinterpret_cast<std::uintptr_t>(&pending) & ~(sizeof(Block) - 1));
    block.free |= 1U << (&pending - &block.rows[0]);
    if (--block.used == kBlockRows / 2 && &block != current_) {
      block.next = usable_;
      usable_ = &block;
    }
    --in_use_;
  }
  /// The reply has come before its turn. The request will not be sent again.
  void hold(PendingReply& pending, std::string_view reply) {
    drop_request(pending);
    pending.state = PendingReply::State::kReady;
    pending.held.begin(reply);
  }
  /// Lets go of the request's bytes: it will not be sent again. Only while it waits.
  void drop_request(PendingReply& pending) {
    uring::ChunkSpan& request = pending.waiting.request;
    if (request.chunk != nullptr) chunks_.release(request.chunk);
    request = {};
  }
  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  static constexpr std::size_t kBlockRows = 31;
  /// Rows of all blocks, in use or not.
  [[nodiscard]] std::size_t rows() const { return blocks_.size() * kBlockRows; }

 private:
  static constexpr unsigned kAhead = 4;

  /// Invariant: a block is current_, or in the list from usable_, or more than half in use.
  struct alignas(2048) Block {
    Block* next = nullptr;                        ///< in that list
    std::uint32_t free = (1U << kBlockRows) - 1;  ///< a bit for each row
    std::uint32_t used = 0;                       ///< how many are not
    std::array<PendingReply, kBlockRows> rows;
  };
  static_assert(sizeof(Block) == alignof(Block));

  void change_block();

  uring::ChunkPool& chunks_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Block* current_ = nullptr;  ///< rows are taken from it until it has none
  Block* usable_ = nullptr;   ///< what comes next; last used first, while it is still in the cache
  std::size_t in_use_ = 0;
};

/// A client's requests, first in, first out.
class OwnerLine {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] PendingReply* front() const { return head_; }
  void push(PendingReply& pending) {
    pending.next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = &pending;
    tail_ = &pending;
    ++size_;
  }
  PendingReply& pop() {
    PendingReply& first = *head_;
    head_ = first.next;
    first.next = nullptr;
    --size_;
    return first;
  }

 private:
  PendingReply* head_ = nullptr;
  PendingReply* tail_ = nullptr;
  std::uint32_t size_ = 0;
};

/// A lane's requests, or those that wait for one; first in, first out. Rows come into the cache before their turn.
class LaneLine {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] PendingReply* front() const { return empty() ? nullptr : &at(0); }
  /// The row that has `index` others before it.
  [[nodiscard]] PendingReply& at(std::size_t index) const { return *rows_[(first_ + index) & (rows_.size() - 1)]; }
  void push(PendingReply& pending) {
    if (size_ == rows_.size()) [[unlikely]]
      grow();
    rows_[(first_ + size_++) & (rows_.size() - 1)] = &pending;
  }
  PendingReply& pop() {
    PendingReply& popped = at(0);
    ++first_;
    --size_;
    // The row's reply comes soon; behind it in its client's line stands what is looked at next.
    if (size_ > kFar) [[likely]] {
      __builtin_prefetch(&at(kFar));
      __builtin_prefetch(at(kNear).next);
    } else if (size_ == 0 && rows_.size() > kKeptRows) {
      std::vector<PendingReply*>().swap(rows_);  // an assignment of {} would keep the room
    }
    return popped;
  }

 private:
  static constexpr std::size_t kFar = 8;
  static constexpr std::size_t kNear = 4;
  static constexpr std::size_t kKeptRows = 32768;  ///< room that is kept while there is nothing in line

  void grow();

  std::vector<PendingReply*> rows_;  ///< a ring: none, or a power of two
  std::size_t first_ = 0;            ///< counts on; its place is that modulo the ring's size
  std::size_t size_ = 0;
};

}  // namespace pool
