#include "bin_job.h"

#include <algorithm>

#include "app_error.h"
#include "files.h"
#include "results.h"

namespace resnet_zoo {

std::string BinJob::Read(size_t item, uint8_t* input) {
  const size_t size = inputs_[item].samples * spec_.SampleBytes();
  const auto bytes = ReadFile(inputs_[item].path, size);
  if (bytes.size() != size) throw AppError(inputs_[item].path.string() + ": has changed while it was read", kExitFailure);
  std::copy(bytes.begin(), bytes.end(), input);
  return {};
}

void BinJob::Store(size_t item, const float* logits) {
  const auto classes = static_cast<size_t>(spec_.num_classes);
  const size_t count = inputs_[item].samples * classes;
  const std::string stem = (folder_ / (inputs_[item].result_name + "_0")).string();
  if (text_) {
    WriteFile(stem + ".txt", EncodeTxt(logits, count, classes));
  } else {
    WriteFile(stem + ".bin", EncodeBin(logits, count));
  }
}

}  // namespace resnet_zoo
