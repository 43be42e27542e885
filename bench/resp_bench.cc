// How fast requests and replies are recognised, beside hiredis' reader (which also builds a tree of each reply: it is
// the yardstick most people know, not an equal). Bytes and items (requests, replies) per second.
#include <benchmark/benchmark.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_scanner.h"
#include "resp/request_parser.h"
#include "resp/writer.h"

namespace {

/// One stream of requests or replies, about as large as what a busy connection's receive buffer holds.
struct Stream {
  std::string bytes;
  std::size_t items = 0;
};

// Long enough, with sizes irregular enough, that branch predictors cannot learn the stream by heart; short enough for
// the second level cache, since a proxy parses what the kernel has just copied.
constexpr std::size_t kStreamBytes = 1 << 20;

// A text of min .. min + range - 1 bytes; splitmix64 decides.
std::string text_of(std::uint64_t seed, std::size_t min, std::size_t range) {
  std::uint64_t mixed = (seed + 1) * 0x9e3779b97f4a7c15ULL;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
  return std::string(min + (mixed ^ mixed >> 31) % range, 'x');
}

template <typename AppendItem>
Stream stream_of(const AppendItem& append_item) {
  Stream stream;
  do append_item(stream.bytes, stream.items++);
  while (stream.bytes.size() < kStreamBytes);
  return stream;
}

Stream small_set_get() {
  return stream_of([](std::string& out, std::size_t i) {
    if (i % 2 == 0)
      resp::write_request(out, {"SET", text_of(i, 4, 20), text_of(i + 7, 1, 40)});
    else
      resp::write_request(out, {"GET", text_of(i, 4, 20)});
  });
}

Stream mget_100() {
  return stream_of([](std::string& out, std::size_t i) {
    std::vector<std::string> keys;
    for (std::size_t key = 0; key < 100; ++key) keys.push_back(text_of(100 * i + key, 4, 20));
    std::vector<std::string_view> arguments = {"MGET"};
    arguments.insert(arguments.end(), keys.begin(), keys.end());
    resp::write_request(out, arguments);
  });
}

Stream set_of(std::size_t value_bytes) {
  return stream_of([=](std::string& out, std::size_t i) {
    resp::write_request(out, {"SET", text_of(i, 4, 20), std::string(value_bytes, 'v')});
  });
}

Stream small_replies() {
  return stream_of([](std::string& out, std::size_t i) {
    resp::Writer writer(out, resp::Protocol::kResp2);
    if (i % 2 == 0)
      writer.simple("OK");
    else
      writer.bulk(text_of(i, 1, 40));
  });
}

Stream array_100() {
  return stream_of([](std::string& out, std::size_t i) {
    resp::Writer writer(out, resp::Protocol::kResp2);
    writer.array(100);
    for (std::size_t j = 0; j < 100; ++j) {
      if (j % 10 == 9)
        writer.null();
      else
        writer.bulk(text_of(100 * i + j, 1, 40));
    }
  });
}

Stream bulk_of(std::size_t value_bytes) {
  return stream_of([=](std::string& out, std::size_t) {
    resp::Writer(out, resp::Protocol::kResp2).bulk(std::string(value_bytes, 'v'));
  });
}

Stream set_1k() {
  return set_of(1 << 10);
}
Stream set_64k() {
  return set_of(64 << 10);
}
Stream bulk_1k() {
  return bulk_of(1 << 10);
}
Stream bulk_64k() {
  return bulk_of(64 << 10);
}

void report(benchmark::State& state, const Stream& stream) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.bytes.size()));
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(stream.items));
}

void parse_requests(benchmark::State& state, Stream (*make)()) {
  const Stream stream = make();
  const resp::RequestLimits limits;
  resp::RequestParser parser;
  resp::Request request;
  for (auto _ : state) {
    std::string_view rest = stream.bytes;
    while (parser.parse(rest, limits, request) == resp::ParseStatus::kComplete) {
      benchmark::DoNotOptimize(request.arguments.data());
      rest.remove_prefix(request.bytes.size());
    }
    if (!rest.empty()) state.SkipWithError("not all bytes were parsed");
  }
  report(state, stream);
}

void scan_replies(benchmark::State& state, Stream (*make)()) {
  const Stream stream = make();
  resp::ReplyScanner scanner;
  for (auto _ : state) {
    std::string_view rest = stream.bytes;
    while (!rest.empty()) {
      const resp::ScanResult result = scanner.scan(rest);
      if (result.status != resp::ScanStatus::kComplete) return state.SkipWithError("not all bytes were scanned");
      rest.remove_prefix(result.length);
    }
  }
  report(state, stream);
}

// Replies the way a proxy receives them: in pieces that end anywhere.
void scan_pieces(benchmark::State& state, Stream (*make)()) {
  constexpr std::size_t kPiece = 1448;
  const Stream stream = make();
  resp::ReplyScanner scanner;
  for (auto _ : state) {
    for (std::size_t at = 0; at < stream.bytes.size(); at += kPiece) {
      std::string_view rest = std::string_view(stream.bytes).substr(at, kPiece);
      while (!rest.empty()) rest.remove_prefix(scanner.scan(rest).length);
    }
    if (!scanner.idle()) return state.SkipWithError("not all bytes were scanned");
  }
  report(state, stream);
}

// In pieces of the size hiredis reads from its sockets: given all at once, its reader would move the rest of the stream
// after every reply.
void hiredis_reader(benchmark::State& state, Stream (*make)()) {
  constexpr std::size_t kPiece = 16 << 10;
  const Stream stream = make();
  redisReader* const reader = redisReaderCreate();
  for (auto _ : state) {
    std::size_t replies = 0;
    for (std::size_t at = 0; at < stream.bytes.size(); at += kPiece) {
      redisReaderFeed(reader, stream.bytes.data() + at, std::min(kPiece, stream.bytes.size() - at));
      void* reply = nullptr;
      while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != nullptr) {
        ++replies;
        freeReplyObject(reply);
        reply = nullptr;
      }
    }
    if (replies != stream.items) state.SkipWithError("not all bytes were parsed");
  }
  redisReaderFree(reader);
  report(state, stream);
}

BENCHMARK_CAPTURE(parse_requests, small_set_get, small_set_get);
BENCHMARK_CAPTURE(hiredis_reader, small_set_get, small_set_get);
BENCHMARK_CAPTURE(parse_requests, mget_100, mget_100);
BENCHMARK_CAPTURE(hiredis_reader, mget_100, mget_100);
BENCHMARK_CAPTURE(parse_requests, set_1k, set_1k);
BENCHMARK_CAPTURE(hiredis_reader, set_1k, set_1k);
BENCHMARK_CAPTURE(parse_requests, set_64k, set_64k);
BENCHMARK_CAPTURE(hiredis_reader, set_64k, set_64k);

BENCHMARK_CAPTURE(scan_replies, small, small_replies);
BENCHMARK_CAPTURE(scan_pieces, small, small_replies);
BENCHMARK_CAPTURE(hiredis_reader, small, small_replies);
BENCHMARK_CAPTURE(scan_replies, array_100, array_100);
BENCHMARK_CAPTURE(scan_pieces, array_100, array_100);
BENCHMARK_CAPTURE(hiredis_reader, array_100, array_100);
BENCHMARK_CAPTURE(scan_replies, bulk_1k, bulk_1k);
BENCHMARK_CAPTURE(scan_pieces, bulk_1k, bulk_1k);
BENCHMARK_CAPTURE(hiredis_reader, bulk_1k, bulk_1k);
BENCHMARK_CAPTURE(scan_replies, bulk_64k, bulk_64k);
BENCHMARK_CAPTURE(hiredis_reader, bulk_64k, bulk_64k);

}  // namespace

BENCHMARK_MAIN();
