#include "files.h"
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

}  // namespace resnet_zoo
