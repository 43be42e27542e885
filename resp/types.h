// The words both directions of RESP share.
// Source: the RESP specification, https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <cstdint>
#include <string_view>

namespace resp {

/// The two protocol versions a client or a backend connection can speak.
enum class Protocol : std::uint8_t { kResp2 = 2, kResp3 = 3 };

/// First byte of a value on the wire.
enum class Type : char {
  kSimpleString = '+',
  kError = '-',
  kInteger = ':',
  kBulkString = '$',
  kArray = '*',
  kNull = '_',
  kBoolean = '#',
  kDouble = ',',
  kBigNumber = '(',
  kBlobError = '!',
  kVerbatimString = '=',
  kMap = '%',
  kSet = '~',
  kPush = '>',
  kAttribute = '|',
};

}  // namespace resp
