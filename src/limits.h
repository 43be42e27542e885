// Every bound that is not the operator's to set, in one place, each with its reason. (The operator's are in config.h.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::limits {

// --- The ring and its buffers, per worker

// SQEs of one turn: a send for each of some thousand dirty sessions, before an early submit.
inline constexpr unsigned kRingEntries = 4096;
// Receive buffers, each way. Incremental ones are filled densely, so few serve many: two megabytes, so few that a cache
// still holds them when they are filled again, in buffers at whose ends few values of up to 96 KB are cut.
struct Buffers {
  std::uint32_t count;
  std::uint32_t bytes;  // of each
};
inline constexpr Buffers kBuffers{4, 512U << 10};
// Before Linux 6.17 one connection may bring 32 of them at once; there has to be something left for others.
inline constexpr Buffers kUnboundedClientBuffers{64, 64U << 10};
inline constexpr Buffers kUnboundedBackendBuffers{64, 128U << 10};
// Before 6.12 each receive uses one up.
inline constexpr Buffers kPlainClientBuffers{1024, 8U << 10};
inline constexpr Buffers kPlainBackendBuffers{128, 64U << 10};
// What one connection may bring before its receive is begun anew, where the kernel can bound it. Each time a value may
// be cut. Of many clients that begin large values at once, so much each is received before they can be stopped.
inline constexpr std::uint32_t kClientBurstBytes = 160U << 10;
inline constexpr std::uint32_t kBackendBurstBytes = 512U << 10;
// Outgoing chunks: one turn's replies of a usual pipeline; a burst of many clients' requests to one node.
inline constexpr std::uint32_t kClientChunkBytes = 1U << 10;
inline constexpr std::uint32_t kBackendChunkBytes = 32U << 10;
inline constexpr std::size_t kKeptClientChunkBytes = 192U << 10;  // free chunks kept for the next burst
inline constexpr std::size_t kKeptBackendChunkBytes = 4U << 20;

// --- Sessions

// A block behind a refused MULTI that is sent at once has come after so long, or still comes many commands at a time.
inline constexpr std::uint32_t kRefusedBlockMs = 1000;
// A session that waits (for room, for its own replies) stops reading once this much of its input has piled up.
inline constexpr std::size_t kHeldInputBytes = 64U << 10;
// Unsent replies at which no further request of the client is started: a slow reader slows itself.
inline constexpr std::size_t kOutputPauseBytes = 1U << 20;
// A client that has read nothing for so long, and whose own input waits, may be one that sends all it has to send
// before it reads: so much more is kept for it until it does; half of limits.output_buffer once a large value is a
// part.
inline constexpr std::uint32_t kStuckMs = 300;
inline constexpr std::size_t kStuckOutputBytes = 32U << 20;
// Ready replies of a pipeline wait for the rest of it up to this much and this long: fewer sends, and nobody waits
// noticeably.
inline constexpr std::size_t kGatherBytes = 16U << 10;
inline constexpr std::uint32_t kGatherUs = 200;
inline constexpr std::size_t kKeptScratchBytes = 64U << 10;  // of a long ECHO nothing is kept
inline constexpr std::size_t kClientNameBytes = 256;         // CLIENT SETNAME and SETINFO; Redis has no bound
// SELECT in front of a standalone server; each opens lanes of its own.
inline constexpr std::uint16_t kDatabases = 1024;

// Of a reply that is put together from parts, as of any that is held whole (pool::Settings::max_reply_bytes).
inline constexpr std::uint64_t kMaxMergedBytes = 1ULL << 30;

// Beside one argument of limits.max_request: the request's other words and the lengths of all.
inline constexpr std::uint64_t kRequestHeadroom = 64U << 10;
// Arguments of one request: the bound Redis had until 7.0. Each costs 16 bytes while its request is looked at.
inline constexpr std::uint64_t kMaxArguments = 1U << 20;
// A pipeline is searched this far for a later request that must not be overtaken; beyond, one is taken to be there.
inline constexpr int kOrderSearch = 64;

// Of a request that is held until it is whole, so much of the rest goes straight to its place with one receive: less is
// copied sooner from a buffer, and more would keep others waiting.
inline constexpr std::uint32_t kLeastRest = 4U << 10;
inline constexpr std::uint32_t kMostRest = 128U << 10;

// Where a large value is expected, at most this much of it is received by copy, and at least this much is worth a
// relay.
inline constexpr std::uint32_t kPieceBytes = 16U << 10;
// So many receives without a large value, and a client's are no longer bounded by that.
inline constexpr std::uint8_t kReceivesInPieces = 16;
// Large arguments of one request at which its keys are looked for; then it is held until it is whole.
inline constexpr std::uint8_t kOpenTries = 8;
// Connections of one kind (LaneKey) to one node for large values, per worker. Beyond, transfers wait for one another,
// and one whose client has stood still for command_timeout is given up for them.
inline constexpr std::size_t kMaxLargeLanes = 64;

// --- What SLUICE HOTKEYS and BIGKEYS show
// Places per half of the window and worker; all tables of a worker together take 125 KiB. Keys with more than 1/256 of
// the requests are found for certain.
inline constexpr std::size_t kHotKeys = 256;
inline constexpr std::size_t kBigKeys = 128;
inline constexpr std::size_t kShownKeyBytes = 128;  // of a longer key the first ones are kept; few people read further
inline constexpr std::uint32_t kKeyWindowMs = 60'000;  // in two halves: 30 to 60 s are shown
// One request in so many is looked at, in the mean: it is not felt, and a key that matters has hundreds a second.
inline constexpr std::uint32_t kSampledEvery = 64;
// Keys of one looked-at request that are counted; of more, some stand for all.
inline constexpr std::size_t kSampledKeys = 16;
// What counts as a large value: to move so many bytes costs far more than to look at their key, so that each can be
// looked at.
inline constexpr std::size_t kBigValueBytes = 16U << 10;
inline constexpr std::size_t kKeysListed = 10;     // without a COUNT, as SLOWLOG GET does
inline constexpr std::size_t kSlowLogListed = 10;  // Redis's own default, for the cluster as a whole

// --- Redirects

// A slot moves once per hop; more means that nodes disagree, and waiting helps better than asking.
inline constexpr std::uint8_t kMaxHops = 8;
// The same for a script, which has run as often if the redirects are its own words.
inline constexpr std::uint8_t kMaxScriptHops = 2;
// Each MOVED of another slot costs a new map. A refresh is on its way then: the rest are followed one by one.
inline constexpr int kMapChanges = 64;
// Requests that wait for a node or a topology, per worker; beyond, they fail at once.
inline constexpr std::size_t kMaxParked = 1U << 18;
inline constexpr std::size_t kMaxParkedBytes = 256U << 20;

// --- Topology
inline constexpr std::size_t kFirstTopologyAnswers = 16;  // nodes asked at once while nothing is known: any may be down
inline constexpr std::size_t kTopologyAnswers = 3;      // nodes asked at once: a majority of three outvotes a stale one
inline constexpr std::uint32_t kRefreshGapMs = 100;     // between two refreshes: a storm of MOVEDs causes one
inline constexpr std::uint32_t kIncompleteGapMs = 500;  // while some slots have no node
inline constexpr std::uint32_t kTroubledGapMs = 1'000;  // while requests wait for a node
inline constexpr std::uint32_t kRefreshPatienceMs = 300;  // for the other answers once one has come
inline constexpr std::uint32_t kRefreshGiveUpMs = 3'000;  // without any answer

// --- Time
inline constexpr std::uint32_t kTickMs = 100;        // deadlines and back-off are this exact
inline constexpr std::uint32_t kLeastAgeMs = 100;    // of a client that goes to another worker: many soon end
inline constexpr std::uint32_t kDrainMs = 5'000;     // for what is in flight when the proxy is told to stop
inline constexpr std::uint32_t kWarnGapMs = 60'000;  // between log lines that clients can cause

// --- Learned commands
// Names known to be no command; forgotten all at once when full.
inline constexpr std::size_t kMaxUnknownCommands = 4096;
inline constexpr std::uint32_t kUnknownCommandMs = 5'000;  // until a backend is asked for them again
inline constexpr std::size_t kMaxCommandNameBytes = 64;    // longer ones are not asked about

}  // namespace sluice::limits
