#include "files.h"

#include <fstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Scratch, "files are whole or not there") {
  WriteFile(scratch / "a", std::string("one"));
  WriteFile(scratch / "a", std::string("two"));
  const auto bytes = ReadFile(scratch / "a", 3);
  CHECK(std::string(bytes.begin(), bytes.end()) == "two");
  CHECK(std::distance(fs::directory_iterator(scratch), {}) == 1);  // no temporary file is left
  CHECK_REFUSED(ReadFile(scratch / "a", 2), "has 3 bytes, more than the 2");
  CHECK_REFUSED(ReadFile(scratch / "b", 2), "No such file");
  CHECK_REFUSED(ReadFile(scratch, 2), "is no regular file");
  CHECK_REFUSED(WriteFile(scratch / "no" / "b", std::string("x")), "cannot be written: No such file");
  CHECK_REFUSED(MakeFolder(scratch / "a" / "b"), "the folder cannot be made");
}

TEST_CASE_FIXTURE(Scratch, "pipes and devices are not opened") {
  REQUIRE(mkfifo((scratch / "pipe.png").c_str(), 0600) == 0);
  CHECK_REFUSED(ReadFile(scratch / "pipe.png", 9), "is no regular file");
  CHECK_REFUSED(ReadFile("/dev/zero", 9), "is no regular file");
}

TEST_CASE_FIXTURE(Scratch, "files have the mode that the user's mask says") {
  const mode_t before = umask(027);
  WriteFile(scratch / "a", std::string("x"));
  umask(before);
  CHECK(fs::status(scratch / "a").permissions() == fs::perms(0640));
}

TEST_CASE_FIXTURE(Scratch, "what a killed run left is removed, what another one writes is not") {
  const std::string name = ".infer-0123456789abcdef.tmp", busy = ".infer-fedcba9876543210.tmp";
  for (const std::string& file : {name, busy, std::string(".infer-0123.tmp"), std::string("infer-0123456789abcdef.tmp")}) {
    std::ofstream(scratch / file) << "part";
  }
  const int other = open((scratch / busy).c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(flock(other, LOCK_EX) == 0);
  RemoveLeftovers(scratch);
  CHECK(!fs::exists(scratch / name));
  CHECK(fs::exists(scratch / busy));
  CHECK(std::distance(fs::directory_iterator(scratch), {}) == 3);
  close(other);
  fs::create_symlink("/etc/hostname", scratch / name);  // a link is no file of ours
  RemoveLeftovers(scratch);
  CHECK(fs::is_symlink(scratch / name));
  CHECK(!fs::exists(scratch / busy));
}

}  // namespace resnet_zoo
