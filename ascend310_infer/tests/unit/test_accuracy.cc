#include "accuracy.h"

#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("of equal logits the class with the lower number comes first") {
  const float logits[] = {1.5F, -0.25F, 2.0F, 2.0F};
  CHECK(LabelRank(logits, 4, 3) == 1);
  CHECK(LabelRank(logits, 4, 2) == 0);
  CHECK(LabelRank(logits, 4, 1) == 3);
  CHECK(TopClasses(logits, 4, 9).size() == 4);
  CHECK(TopClasses(logits, 4, 1)[0].index == 2);
}

TEST_CASE("the line of acc.log") {
  const float logits[] = {1.5F, -0.25F, 2.0F, 2.0F};
  Accuracy accuracy;
  accuracy.Add(logits, 4, 2);
  accuracy.Add(logits, 4, 1);
  CHECK(accuracy.Line() == "Total data: 2, top1 accuracy: 0.50000, top5 accuracy: 1.00000.");
}

}  // namespace resnet_zoo
