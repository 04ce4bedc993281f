#include "captured_log.h"

#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("the log of a library becomes the reason of an error") {
  const auto reason = [](const char* text) {
    CapturedLog log;
    std::fputs(text, stderr);
    std::fflush(stderr);
    return log.Reason();
  };
  CHECK(reason("") == "");
  CHECK(reason("[WARNING] ME(1,2,x):now [a.cc:1] Load] slow\n") == "");
  CHECK(reason("[ERROR] ME(1,2,x):now [a.cc:1] Load] first [3] of them\n[ERROR] ME(1,2,x):now [b.cc:2] Run] second\n") ==
        "first [3] of them");
  CHECK(reason("[ERROR] C(1):now [a.cc:1] operator^] Runtime error for null exception handler.\n"
               "[ERROR] ME(1):now [b.cc:2] Build] Catch exception: too new\n") == "too new");
  CHECK(reason(
            "[WARNING] ME(1):now [a.cc:1] Open] dlopen /x.so failed, error: libgraph.so: cannot open shared object file: No "
            "such file or directory\n[ERROR] ME(1):now [b.cc:2] Init] failed\n") ==
        "libgraph.so: cannot open shared object file: No such file or directory");
  CHECK(reason("[ERROR] without the rest") == "without the rest");
}

}  // namespace resnet_zoo
