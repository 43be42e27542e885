// What each mistake in a file or a flag is told, and that no secret is ever in it.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include <string>
#include <utility>
#include <vector>

#include "src/config.h"
#include "tests/config_loading.h"

namespace {

using namespace tests;

// --- what is wrong

TEST(Mistakes, AreAllToldWithTheirLines) {
  EXPECT_EQ(
      errors_of("wrokers: 3\n"
                "backend:\n"
                "  nodes:\n"
                "    - a:1\n"
                "    - b\n"
                "    - c:0\n"
                "  raed_from: any\n"
                "  read_from: replcia\n"
                "  zone:\n"
                "  zone: x\n"
                "pool:\n"
                "  idle_timeout: 10\n"
                "  connections_per_node: 100\n"
                "announce: {map: {\"a:1\": \"b:2\", \"c\": \"d:5\", \"a:2\": e}}\n"
                "limits: 3\n"
                "log: [x]\n"
                "quite_unknown: {a: 1}\n"),
      (Lines{"sluice.yaml:1: wrokers: unknown key; did you mean workers?",
             "sluice.yaml:5: backend.nodes[1]: \"b\" is not host:port or [v6]:port",
             "sluice.yaml:6: backend.nodes[2]: \"c:0\" is not host:port or [v6]:port",
             "sluice.yaml:7: backend.raed_from: unknown key; did you mean backend.read_from?",
             "sluice.yaml:8: backend.read_from: \"replcia\" is not one of primary, prefer_replica, replica, any, "
             "zone",
             "sluice.yaml:9: backend.zone: has no value", "sluice.yaml:10: backend.zone: given twice, first in line 9",
             "sluice.yaml:12: pool.idle_timeout: \"10\" is not a time such as 500ms, 10s, 3m or 1h",
             "sluice.yaml:13: pool.connections_per_node: \"100\" is out of range, 1 to 64",
             "sluice.yaml:14: announce.map[\"c\"]: \"c\" is not host:port or [v6]:port",
             "sluice.yaml:14: announce.map[\"a:2\"]: \"e\" is not host:port or [v6]:port",
             "sluice.yaml:15: limits: must be a mapping of keys", "sluice.yaml:16: log: must be a mapping of keys",
             "sluice.yaml:17: quite_unknown: unknown key"}));
}

TEST(Mistakes, WrongTypes) {
  const std::vector<std::pair<std::string, std::string>> kCases{
      {"workers: [1]", "workers: must be one value, not a list"},
      {"workers: {a: 1}", "workers: must be one value, not a mapping"},
      {"workers: -1", "workers: \"-1\" is not a whole number"},
      {"workers: 1.5", "workers: \"1.5\" is not a whole number"},
      {"workers: \"\"", "workers: \"\" is not a whole number"},
      {"workers: 99999999999999999999999", "workers: \"99999999999999999999999\" is out of range, 0 to 1024"},
      {"max_clients: 0", "max_clients: \"0\" is out of range, 1 to 1000000"},
      {"limits: {max_request: 64xb}", "limits.max_request: \"64xb\" is not a size such as 1000, 64kb, 512mb or 1gb"},
      {"limits: {max_request: 1023}", "limits.max_request: \"1023\" is out of range, 1kb to 1gb"},
      {"limits: {output_buffer: 65gb}", "limits.output_buffer: \"65gb\" is out of range, 1mb to 64gb"},
      {"pool: {session_timeout: 169h}", "pool.session_timeout: \"169h\" is out of range, 0 to 168h"},
      {"limits.max_pipeline: 7", "limits.max_pipeline: unknown key: a section's keys stand below it, not behind a dot"},
      {"pool: {mode: \"x\\ny\"}", "pool.mode: \"x?y\" is not one of shared, affinity, dedicated"},
      {"announce: {map: [x]}", "announce.map: must be a mapping of host:port to host:port"},
      {"announce: {map: {\"a:1\": \"b:1\", \"[a]:1\": \"c:1\"}}", "announce.map[\"[a]:1\"]: given twice"},
      {"announce: {address: p}", "announce.address: \"p\" is not host:port or [v6]:port"},
      {"announce: {proxies: {a: 1}}", "announce.proxies: must be one value, not a mapping"},
      {"listen: [[\"h:1\"]]", "listen[0]: must be one value, not a list"},
      {"listen: [{tls: false}]", "listen[0]: has no address"},
      {"listen: [{address: \"h:1\", port: 1}]",
       "listen[0].port: unknown key; a listener has address, tls, proxy_protocol"},
      {"listen: \"unix:/" + std::string(107, 'x') + "\"",
       "listen: \"unix:/" + std::string(58, 'x') + "...\": the path is longer than 107 bytes"},
      {"listen: \"6380\"", "listen: \"6380\" is not host:port, [v6]:port or unix:/path"},
      {"log: {level: loud}", "log.level: \"loud\" is not one of trace, debug, info, warn, error, off"},
      {"log: {format: xml}", "log.format: \"xml\" is not one of text, json"},
  };
  for (const auto& [yaml, message] : kCases) {
    EXPECT_EQ(errors_of("\n" + yaml + "\n" + kNodes), Lines{"sluice.yaml:2: " + message}) << yaml;
  }
  EXPECT_EQ(errors_of("backend: {nodes: [\"a:1\"], auto_redirect: yes}"),
            Lines{"sluice.yaml:1: backend.auto_redirect: \"yes\" is not one of true, false"});
  EXPECT_EQ(errors_of("backend: {nodes: [\"a:1\"], username: \"a\\tb\"}"),
            Lines{"sluice.yaml:1: backend.username: holds a control character"});
}

TEST(Mistakes, WhatYamlItselfRefuses) {
  EXPECT_EQ(errors_of("workers: 1\nbackend: [\n"), Lines{"sluice.yaml:3: YAML syntax: end of sequence flow not found"});
  EXPECT_EQ(errors_of("workers: \"\\q\"\n"), Lines{"sluice.yaml:1: YAML syntax: unknown escape character"});
  EXPECT_EQ(errors_of("- a\n"), Lines{"sluice.yaml:1: the file must be a mapping of keys"});
  EXPECT_EQ(errors_of(kNodes + "---\nworkers: 2\n"),
            Lines{"sluice.yaml:2: the file holds more than one YAML document"});
  EXPECT_EQ(errors_of("backend: &b {nodes: \"a:1\"}\n"),
            Lines{"sluice.yaml:1: backend: YAML anchors are not accepted here"});
  EXPECT_EQ(errors_of(kNodes + "? [x]\n: 1\n").at(0), "sluice.yaml:2: a key must be plain text");
  EXPECT_EQ(errors_of("backend:\n  password: @/etc/secret\n"),
            Lines{"sluice.yaml:2: a value that begins with @ must be in quotes"});
  EXPECT_EQ(errors_of(std::string(2'000'000, '#')),
            Lines{"sluice.yaml:1: the file is longer than a configuration can be"});
  EXPECT_EQ(errors_of("listen: " + std::string(100'000, '[')).size(), 1U);
}

TEST(Mistakes, AcrossKeys) {
  EXPECT_EQ(errors_of(""), Lines{"sluice.yaml: backend.nodes: needs at least one host:port"});
  EXPECT_EQ(errors_of("backend: {kind: standalone, nodes: []}"),
            Lines{"sluice.yaml:1: backend.nodes: needs at least one host:port"});
  EXPECT_EQ(errors_of("backend: {nodes: \"a:1\", read_from: zone}"),
            Lines{"sluice.yaml: backend.zone: must be set when backend.read_from is zone"});
  EXPECT_EQ(errors_of("listen: []\n" + kNodes), Lines{"sluice.yaml:1: listen: needs at least one address"});
  EXPECT_EQ(errors_of("listen: [\"h:1\", {address: \"h:1\"}]\n" + kNodes),
            Lines{"sluice.yaml:1: listen: h:1 and h:1 overlap"});
  EXPECT_EQ(errors_of("listen: [\"127.0.0.1:1\", \"0.0.0.0:1\"]\n" + kNodes),
            Lines{"sluice.yaml:1: listen: 127.0.0.1:1 and 0.0.0.0:1 overlap"});
  EXPECT_EQ(errors_of("listen: [\"[::]:1\", \"[::1]:1\"]\n" + kNodes),
            Lines{"sluice.yaml:1: listen: [::]:1 and [::1]:1 overlap"});
  EXPECT_EQ(errors_of("listen: [\"[::1]:1\", \"[0:0::1]:1\"]\n" + kNodes),
            Lines{"sluice.yaml:1: listen: [::1]:1 and [0:0::1]:1 overlap"});
  EXPECT_EQ(errors_of("listen: [\"0.0.0.0:1\", \"[::]:1\", \"127.0.0.1:2\", \"127.0.0.2:2\", \"h:1\", \"unix:/h\"]\n" +
                      kNodes),
            Lines{});
  EXPECT_EQ(flag_errors({}), Lines{"--nodes: needs at least one host:port"});
  EXPECT_EQ(flag_errors({"--nodes=a:1", "--read-from=zone"}),
            Lines{"--zone: must be set when backend.read_from is zone"});
}

TEST(Mistakes, Files) {
  EXPECT_EQ(flag_errors({"--config", "/nowhere/s.yaml"}),
            Lines{"/nowhere/s.yaml: cannot be read: No such file or directory"});
  EXPECT_EQ(flag_errors({"--config", "/tmp"}), Lines{"/tmp: cannot be read: Is a directory"});
  const TemporaryFile file("workers: x\n" + kNodes);
  EXPECT_EQ(flag_errors({"--config=" + file.path(), "--max-clients=0"}),
            (Lines{file.path() + ":1: workers: \"x\" is not a whole number",
                   "--max-clients: \"0\" is out of range, 1 to 1000000"}));
}

TEST(Mistakes, Flags) {
  EXPECT_EQ(flag_errors({"--wrokers", "3"}), Lines{"\"--wrokers\": unknown flag; did you mean --workers?"});
  EXPECT_EQ(flag_errors({"-addr=x:1"}), Lines{"\"-addr\": unknown flag; did you mean --addr?"});
  EXPECT_EQ(flag_errors({"--workers"}), Lines{"--workers: needs a value"});
  EXPECT_EQ(flag_errors({"--startup-nodes"}), Lines{"--startup-nodes: needs a value"});
  EXPECT_EQ(flag_errors({"--workers=1", "--workers=1"}), Lines{"--workers: given twice"});
  EXPECT_EQ(flag_errors({"--zone=1", "--backend-zone=1"}), Lines{"--zone: given twice, also as --backend-zone"});
  EXPECT_EQ(flag_errors({"--config=a", "--config=b"}), Lines{"--config: given twice"});
  EXPECT_EQ(flag_errors({"--config="}), Lines{"--config: needs a file name"});
  EXPECT_EQ(flag_errors({"--workers=1", "stray"}), Lines{"argument 2 belongs to no flag"});
  EXPECT_EQ(flag_errors({"--zone", "1", "1"}), Lines{"an argument belongs to no flag"});
  EXPECT_EQ(flag_errors({"--nodes=a:1,b", "--log-level="}),
            (Lines{"--nodes[1]: \"b\" is not host:port or [v6]:port",
                   "--log-level: \"\" is not one of trace, debug, info, warn, error, off"}));
}

// --- secrets

std::string password_by(const std::string& written) {
  return config_of(load("backend: {nodes: \"a:1\", password: \"" + written + "\"}")).backend.password.reveal();
}

TEST(Secrets, AreLiteralVariableOrFile) {
  ASSERT_EQ(setenv("SLUICE_TEST_SECRET", "from env", 1), 0);
  const TemporaryFile file("from file\n");
  EXPECT_EQ(password_by("hunter2"), "hunter2");
  EXPECT_EQ(password_by("${SLUICE_TEST_SECRET}"), "from env");
  EXPECT_EQ(password_by("@" + file.path()), "from file");
}

TEST(Secrets, OtherFormsAreLiteral) {
  for (const char* written : {"@name", "$NAME", "${}", "${A B}", "${A", "x${A}"})
    EXPECT_EQ(password_by(written), written);
}

TEST(Secrets, OneLineEndIsStripped) {
  const std::vector<std::pair<std::string, std::string>> kCases{
      {"", ""}, {"\n", ""}, {"a", "a"}, {"a\n", "a"}, {"a\r\n", "a"}, {"a\n\n", "a\n"}, {" a \n", " a "}};
  for (const auto& [content, secret] : kCases) {
    const TemporaryFile file(content);
    EXPECT_EQ(password_by("@" + file.path()), secret);
  }
}

TEST(Secrets, MissingOnesNameTheKey) {
  unsetenv("SLUICE_TEST_UNSET");
  EXPECT_EQ(errors_of("backend: {nodes: \"a:1\", password: \"${SLUICE_TEST_UNSET}\"}"),
            Lines{"sluice.yaml:1: backend.password: the environment variable SLUICE_TEST_UNSET is not set"});
  EXPECT_EQ(flag_errors({"--nodes=a:1", "--password=@/nowhere/secret"}),
            Lines{"--password: the file /nowhere/secret cannot be read"});
  EXPECT_EQ(flag_errors({"--nodes=a:1", "--password=@/tmp"}), Lines{"--password: the file /tmp cannot be read"});
  EXPECT_EQ(flag_errors({"--nodes=a:1", "--password=@/dev/zero"}),
            Lines{"--password: the file /dev/zero is too long for a secret"});
}

TEST(Secrets, AreNeverShown) {
  const std::string secret = "hunter2";
  const Lines kFiles{"password: hunter2",
                     "password: [hunter2]",
                     "password: {hunter2: hunter2}",
                     "password: *hunter2",
                     "password: &hunter2",
                     "password: \"hunter2",
                     "password: 'hunter2\n",
                     "password: |hunter2",
                     "password: @hunter2",
                     "password: %hunter2",
                     "password: !<hunter2",
                     "password: hunter2: hunter2",
                     "password: \"\\hunter2\"",
                     "pasword: hunter2",
                     "password: `hunter2`",
                     "password: hunter2\n  password: hunter2"};
  for (const std::string& line : kFiles) {
    const ConfigResult result = load("backend:\n  " + line + "\n  nodes: \"a:1\"\n  zone: []\n");
    EXPECT_FALSE(result.ok());
    for (const std::string& error : result.errors) EXPECT_EQ(error.find(secret), std::string::npos) << error;
  }
  const std::vector<Lines> kArguments{{"--password", "x", "hunter2"},
                                      {"--pasword", "hunter2"},
                                      {"--pasword=hunter2"},
                                      {"--pasword", "-Xhunter2"},
                                      {"hunter2"},
                                      {"--password=hunter2", "--zone"},
                                      {"--password=hunter2", "--password=hunter2"}};
  for (const Lines& arguments : kArguments) {
    const Lines errors = flag_errors(arguments);
    EXPECT_FALSE(errors.empty());
    for (const std::string& error : errors) EXPECT_EQ(error.find(secret), std::string::npos) << error;
  }
  const std::string described = sluice::describe(config_of(run({"--nodes=a:1", "--password=hunter2"}).loaded));
  EXPECT_EQ(described.find(secret), std::string::npos);
  EXPECT_NE(described.find("password: \"***\""), std::string::npos);
}

TEST(Laws, NoTextCrashesTheLoader) {
  const std::string whole = sluice::describe(Config());
  EXPECT_TRUE(rc::check([&whole](const std::string& noise) {
    const std::size_t place = *rc::gen::inRange<std::size_t>(0, whole.size());
    const ConfigResult result = load(whole.substr(0, place) + noise + whole.substr(place));
    for (const std::string& error : result.errors) {
      RC_ASSERT(error.starts_with("sluice.yaml:"));
      RC_ASSERT(error.find('\n') == std::string::npos);
    }
  }));
}

}  // namespace
