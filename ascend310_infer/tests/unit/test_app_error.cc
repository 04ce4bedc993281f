#include "app_error.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("reasons are one line") {
  CHECK(Reason("Exception from a.cpp:84:\nCheck 'x' failed at b.cpp:5:\n  Model can't be parsed \r\n\n") ==
        "Model can't be parsed");
  CHECK(Reason("Exception from a.cpp:84:\n\n") == "Exception from a.cpp:84:");
  CHECK(Escaped("a\nb\tc\x1b[2J") == "a\\nb\\tc\\x1b[2J");
  CHECK(Escaped("gr\u00fcn \u76f8\u7247 \U0001f600") == "gr\u00fcn \u76f8\u7247 \U0001f600");
  CHECK(Escaped("a\u009bb\u202ec\xff"
                "d\xc3") == "a\\xc2\\x9bb\\xe2\\x80\\xaec\\xffd\\xc3");
  CHECK(Reason("\n one\ntwo") == "one");
  CHECK(Reason(" \n") == "no reason given");
}

}  // namespace resnet_zoo
