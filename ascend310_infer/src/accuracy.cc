#include "accuracy.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace resnet_zoo {

int LabelRank(const float* logits, int num_classes, int label) {
  int rank = 0;
  for (int i = 0; i < num_classes; ++i) rank += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
  return rank;
}

void Accuracy::Add(const float* logits, int num_classes, int label) {
  const int rank = LabelRank(logits, num_classes, label);
  ++images;
  top1 += rank < 1;
  top5 += rank < 5;
}

std::string Accuracy::Line() const {
  char line[120];
  const auto total = static_cast<double>(std::max<size_t>(images, 1));
  std::snprintf(line, sizeof line, "Total data: %zu, top1 accuracy: %.5f, top5 accuracy: %.5f.", images,
                static_cast<double>(top1) / total, static_cast<double>(top5) / total);
  return line;
}

std::vector<RankedClass> TopClasses(const float* logits, int num_classes, int k) {
  std::vector<int> order(static_cast<size_t>(num_classes));
  std::iota(order.begin(), order.end(), 0);
  k = std::min(k, num_classes);
  std::partial_sort(order.begin(), order.begin() + k, order.end(),
                    [&](int a, int b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  double sum = 0;
  for (int i = 0; i < num_classes; ++i) sum += std::exp(static_cast<double>(logits[i]) - logits[order[0]]);
  std::vector<RankedClass> ranked;
  for (int i = 0; i < k; ++i) {
    ranked.push_back({order[i], std::exp(static_cast<double>(logits[order[i]]) - logits[order[0]]) / sum});
  }
  return ranked;
}

}  // namespace resnet_zoo
