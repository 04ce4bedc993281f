#include "json_texts.h"

#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("names that are not UTF-8 do not break JSON results") {
  const float logits[] = {1.5F, -0.25F, 2.0F, 2.0F};
  const std::string json = PredictionsJson("a\xff.jpg", logits, 4, {"p", "q", "r", "s"}, 1);
  CHECK(json.find(R"("class":"r","index":2)") != std::string::npos);
}

}  // namespace resnet_zoo
