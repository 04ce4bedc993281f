// Exact counts, as src/evaluation/metrics.py makes them.
#pragma once

#include <string>
#include <vector>

namespace resnet_zoo {

struct Accuracy {
  size_t images = 0, top1 = 0, top5 = 0;
  void Add(const float* logits, int num_classes, int label);
  // "Total data: N, top1 accuracy: x, top5 accuracy: y."
  std::string Line() const;
};

// Place of the label, from 0, when classes are sorted by falling logit; of equal ones the first wins.
int LabelRank(const float* logits, int num_classes, int label);

struct RankedClass {
  int index;
  double probability;  // softmax over all classes
};

// The k most likely classes, the likeliest first.
std::vector<RankedClass> TopClasses(const float* logits, int num_classes, int k);

}  // namespace resnet_zoo
