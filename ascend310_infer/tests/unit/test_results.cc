#include "results.h"

#include "files.h"
#include "scratch.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

TEST_CASE("logits as bytes and as text") {
  const float logits[] = {1.5F, -0.25F, 2.0F, 2.0F};
  CHECK(EncodeBin(logits, 4).size() == 16);
  CHECK(EncodeTxt(logits, 4, 2) == "1.500000 -0.250000 \n2.000000 2.000000 \n");
}

TEST_CASE_FIXTURE(Scratch, "results of an earlier run are removed, other files are not") {
  const fs::path folder = scratch / "results";
  PrepareResultFolder(folder);
  for (const char* name : {"a_0.bin", "b_12.txt", "keep.bin", "keep_0.csv", "keep_.bin"}) {
    WriteFile(folder / name, std::string());
  }
  PrepareResultFolder(folder);
  CHECK(std::distance(fs::directory_iterator(folder), {}) == 3);
}

}  // namespace resnet_zoo
