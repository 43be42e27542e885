// What the operator asked for: the YAML file and the flags, read, checked and with the defaults filled in.
// The structs mirror the file key by key; docs/configuration.md says what each key means. A Config that load_* hands
// out without errors is valid as a whole: every value is within its bounds and asks for nothing that is not built yet.
// Thread: plain values; read-only after loading.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/topology.h"
#include "src/secret.h"

namespace sluice {

using Milliseconds = std::chrono::milliseconds;
using Bytes = std::uint64_t;  ///< a size; written "64kb", "512mb"
using Count = std::uint32_t;  ///< a plain number

/// Where we listen: host and port, or a socket file.
struct ListenAddress {
  std::string host;  ///< an IP address or a name; empty for a socket file
  std::uint16_t port = 0;
  std::string path;  ///< of the socket file; empty for TCP
  [[nodiscard]] bool is_unix() const { return !path.empty(); }
  /// "host:port", "[v6]:port", "unix:/path".
  [[nodiscard]] std::string text() const;
  bool operator==(const ListenAddress&) const = default;
};

struct Listener {
  ListenAddress address;
  bool tls = false;
  bool proxy_protocol = false;
  bool operator==(const Listener&) const = default;
};

enum class BackendKind : std::uint8_t { kCluster, kStandalone, kSentinel, kNone };
enum class ReadFrom : std::uint8_t { kPrimary, kPreferReplica, kReplica, kAny, kZone };
enum class PoolMode : std::uint8_t { kShared, kAffinity, kDedicated };
enum class Fsync : std::uint8_t { kAlways, kEverySecond, kNo };
enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

struct TlsConfig {
  bool enabled = false;
  std::string ca;
  std::string cert;
  std::string key;
  std::string server_name;
  bool verify = true;
  bool operator==(const TlsConfig&) const = default;
};

struct BackendConfig {
  BackendKind kind = BackendKind::kCluster;
  std::vector<cluster::Address> nodes;  ///< not empty for cluster and standalone
  std::string master_name = "mymaster";
  std::string username;
  Secret password;
  TlsConfig tls;
  ReadFrom read_from = ReadFrom::kPrimary;
  std::string zone;  ///< not empty when read_from is kZone
  Milliseconds refresh_interval{30'000};
  bool auto_redirect = true;
  Milliseconds connect_timeout{3'000};
  Milliseconds command_timeout{10'000};
  bool operator==(const BackendConfig&) const = default;
};

struct PoolConfig {
  PoolMode mode = PoolMode::kShared;
  Count connections_per_node = 1;  ///< lanes per worker and node
  Count max_connections = 200;
  Count init_connections = 20;
  Milliseconds wait_timeout{2'000};
  Milliseconds idle_timeout{180'000};     ///< 0: never
  Milliseconds session_timeout{300'000};  ///< 0: never
  bool operator==(const PoolConfig&) const = default;
};

struct LargeValuesConfig {
  Bytes threshold = 96 * 1024;
  bool operator==(const LargeValuesConfig&) const = default;
};

struct AnnounceConfig {
  std::optional<cluster::Address> address;           ///< absent: the address the client connected to
  std::vector<cluster::Address> proxies;             ///< the siblings, this proxy left out
  std::map<cluster::Address, cluster::Address> map;  ///< internal -> public
  bool operator==(const AnnounceConfig&) const = default;
};

struct LimitsConfig {
  Bytes max_request = 512ULL * 1024 * 1024;
  Count max_pipeline = 65536;
  Bytes output_buffer = 256ULL * 1024 * 1024;
  Count clients_per_ip = 0;       ///< 0: no limit
  Count requests_per_second = 0;  ///< 0: no limit
  bool operator==(const LimitsConfig&) const = default;
};

struct UserConfig {
  std::string name;
  Secret password;
  std::string password_sha256;
  std::vector<std::string> commands;
  std::vector<std::string> keys;
  std::vector<std::string> channels;
  Count rate = 0;  ///< requests per second; 0: no limit
  bool operator==(const UserConfig&) const = default;
};

struct AdminConfig {
  ListenAddress listen{.host = "127.0.0.1", .port = 9380, .path = {}};
  bool operator==(const AdminConfig&) const = default;
};

struct PeerConfig {
  std::string region;
  cluster::Address address;
  bool operator==(const PeerConfig&) const = default;
};

struct ActiveActiveConfig {
  std::string region;  ///< empty: active-active is off
  Count node_id = 0;   ///< 1..1023
  ListenAddress listen{.host = "0.0.0.0", .port = 16380, .path = {}};
  std::vector<PeerConfig> peers;
  Secret secret;
  std::vector<std::string> keys{"*"};
  std::string data_dir = "/var/lib/sluice";
  Fsync fsync = Fsync::kEverySecond;
  [[nodiscard]] bool enabled() const { return !region.empty(); }
  bool operator==(const ActiveActiveConfig&) const = default;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool operator==(const LogConfig&) const = default;
};

struct Config {
  std::vector<Listener> listen{{.address = {.host = "0.0.0.0", .port = 6380, .path = {}}}};  ///< never empty
  Count workers = 0;  ///< 0: one per CPU this process may use
  Count max_clients = 10'000;
  BackendConfig backend;
  PoolConfig pool;
  LargeValuesConfig large_values;
  AnnounceConfig announce;
  LimitsConfig limits;
  std::vector<UserConfig> users;
  AdminConfig admin;
  ActiveActiveConfig active_active;
  LogConfig log;
  bool operator==(const Config&) const = default;
};

/// A configuration, or why there is none. Each error is one line ready to print, and none of them holds a secret:
///   sluice.yaml:12: backend.read_from: "replcia" is not one of primary, prefer_replica, replica, any, zone
///   --workers: "many" is not a number
struct ConfigResult {
  Config config;                    ///< meaningful only when ok()
  std::vector<std::string> errors;  ///< all that could be found, in the order of the file, then of the flags
  [[nodiscard]] bool ok() const { return errors.empty(); }
};

/// What a command line asks the binary to do.
enum class Action : std::uint8_t { kServe, kCheckConfig, kKernelFeatures, kShowVersion, kShowHelp };

struct CommandLine {
  Action action = Action::kServe;
  ConfigResult
      loaded;  ///< not filled for kKernelFeatures, kShowVersion and kShowHelp, unless the flags themselves are wrong
};

/// Reads the flags and the file that --config names. `arguments` is argv with the program's name first. A flag wins
/// over the file. Reads files and the environment; call it again with the same arguments to reload.
[[nodiscard]] CommandLine read_command_line(std::span<const char* const> arguments);

/// A configuration from YAML text alone; `file_name` stands in the error messages.
[[nodiscard]] ConfigResult load_config_text(std::string_view yaml, std::string_view file_name);

/// The text of --help.
[[nodiscard]] std::string usage();

/// The effective configuration as YAML that load_config_text accepts again; each secret that is set reads "***".
[[nodiscard]] std::string describe(const Config& config);

/// The word that stands for a value in the file.
[[nodiscard]] std::string_view word_of(BackendKind kind);
[[nodiscard]] std::string_view word_of(ReadFrom read_from);
[[nodiscard]] std::string_view word_of(PoolMode mode);
[[nodiscard]] std::string_view word_of(Fsync fsync);
[[nodiscard]] std::string_view word_of(LogLevel level);
[[nodiscard]] std::string_view word_of(LogFormat format);

}  // namespace sluice
