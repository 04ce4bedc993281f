#include "app_error.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("reasons are one line") {
  CHECK(Reason("Exception from a.cpp:84:\nCheck 'x' failed at b.cpp:5:\n  Model can't be parsed \r\n\n") ==
        "Model can't be parsed");
  CHECK(Reason("Exception from a.cpp:84:\n\n") == "Exception from a.cpp:84:");
  CHECK(OneLine("a\nb\tc") == "a?b?c");
  CHECK(Reason("\n one\ntwo") == "one");
  CHECK(Reason(" \n") == "no reason given");
}

}  // namespace resnet_zoo
