// What the kernel can do, and what is said when it cannot: each refusal is made by the kernel itself, in a child
// process.
#include "uring/features.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace uring {
namespace {

/// Lines of what `report` returns in a child process; the test's own process stays as it is.
template <typename Report>
std::string in_child(Report report) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = report();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t length = 0;
  while ((length = ::read(ends[0], buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(length));
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// From now on io_uring_setup fails with `error` in this process.
bool refuse_io_uring(int error) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

std::string explain_behind_filter(int error) {
  return in_child([error]() -> std::string {
    if (!refuse_io_uring(error)) return "no filter";
    return join(explain_missing(probe_features()));
  });
}

/// What is said of `error` where the sysctl reads `value`; empty when this process may not pretend so.
std::string explain_under_sysctl(const std::string& value) {
  return in_child([&]() -> std::string {
    constexpr const char* kSysctl = "/proc/sys/kernel/io_uring_disabled";
    std::string path = "/tmp/sluice-sysctl-XXXXXX";
    const int file = ::mkstemp(path.data());
    const ssize_t written = ::write(file, value.data(), value.size());
    const bool mounted = written > 0 && ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount(path.c_str(), kSysctl, nullptr, MS_BIND, nullptr) == 0;
    ::close(file);
    std::string text = mounted ? explain_error(EPERM, "io_uring_setup") : "";
    ::unlink(path.c_str());
    return text;
  });
}

::testing::AssertionResult says(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (text.find(part) == std::string::npos) {
      return ::testing::AssertionFailure() << "\"" << part << "\" is not in: " << text;
    }
  }
  return ::testing::AssertionSuccess();
}

TEST(Features, AreEnoughHere) {
  const Probe probe = probe_features();
  EXPECT_EQ(probe.error, 0);
  EXPECT_TRUE(probe.features.enough()) << "all these tests need a kernel that Sluice runs on";
  EXPECT_TRUE(explain_missing(probe).empty());
}

TEST(Features, NewerOnesImplyOlderOnes) {
  const Features features = probe_features().features;
  EXPECT_TRUE(!features.incremental_buffers || features.provided_buffer_ring);
  EXPECT_TRUE(!features.limited_receive || features.min_wait);
  EXPECT_TRUE(!features.min_wait || features.receive_bundles);
  EXPECT_TRUE(!features.receive_bundles || features.cancel_by_opcode);
}

TEST(Features, ProbingLeavesNoDescriptorOpen) {
  const int before = ::dup(0);
  ::close(before);
  static_cast<void>(probe_features());
  const int after = ::dup(0);
  ::close(after);
  EXPECT_EQ(before, after);
}

TEST(Features, DescriptionHasALineForEach) {
  Features features;
  features.message_ring = true;
  const std::string text = describe(features);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 12);
  EXPECT_TRUE(says(text, {"yes  MSG_RING", "no   multishot receive", "6.12", "(required)\n"}));
  EXPECT_FALSE(says(text, {"no   MSG_RING"}));
}

TEST(Features, ATooOldKernelIsToldWhatItLacks) {
  Probe probe = probe_features();
  probe.features.defer_taskrun = false;
  probe.features.incremental_buffers = false;
  const std::vector<std::string> lines = explain_missing(probe);
  ASSERT_EQ(lines.size(), 1U) << "what is not required is not missing";
  EXPECT_TRUE(says(lines[0], {"DEFER_TASKRUN", "(Linux 6.1)", "this kernel is ", "Run Linux 6.1 or newer"}));
  EXPECT_EQ(explain_missing(Probe{}).size(), 4U);
}

TEST(Features, AKernelWithoutIoUring) {
  EXPECT_TRUE(says(explain_behind_filter(ENOSYS),
                   {"io_uring cannot be used: Function not implemented", "no io_uring", "seccomp", "Linux 6.1"}));
}

TEST(Features, ASeccompFilter) {
  EXPECT_TRUE(says(explain_behind_filter(EPERM), {"io_uring cannot be used: Operation not permitted", "seccomp filter",
                                                  "Allow io_uring_setup, io_uring_enter and io_uring_register"}));
}

TEST(Features, TooLittleLockedMemory) {
  EXPECT_TRUE(says(explain_behind_filter(ENOMEM),
                   {"Cannot allocate memory", "RLIMIT_MEMLOCK (now ", "LimitMEMLOCK=infinity", "--ulimit memlock=-1"}));
}

TEST(Features, TooFewDescriptors) {
  EXPECT_TRUE(says(explain_behind_filter(EMFILE), {"Too many open files", "RLIMIT_NOFILE", "LimitNOFILE="}));
}

TEST(Features, ASysctlThatDisablesIt) {
  const std::string text = explain_under_sysctl("2\n");
  if (text.empty()) GTEST_SKIP() << "needs the right to mount";
  EXPECT_TRUE(says(text, {"io_uring_setup: Operation not permitted", "kernel.io_uring_disabled is 2",
                          "sysctl -w kernel.io_uring_disabled=0", "kernel.io_uring_group"}));
  EXPECT_FALSE(says(text, {"seccomp"}));
  EXPECT_TRUE(says(explain_under_sysctl("0\n"), {"seccomp"}));
}

TEST(Features, AnyOtherErrorIsNamedAsItIs) {
  EXPECT_EQ(explain_error(EINVAL, "registering receive buffers"), "registering receive buffers: Invalid argument.");
}

}  // namespace
}  // namespace uring
