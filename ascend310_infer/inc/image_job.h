// Image files through a network, to result files and an accuracy.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "accuracy.h"
#include "backend.h"
#include "image_index.h"
#include "model_meta.h"
#include "run_batches.h"

namespace resnet_zoo {

enum class ResultFormat { kBin, kTxt, kJson };

struct ImageResults {
  std::filesystem::path folder;
  std::vector<std::string> names;  // one per image: see ResultNames
  ResultFormat format = ResultFormat::kBin;
  int top_k = 5;
};

class ImageJob : public BatchJob {
 public:
  // labels: one per image or empty. All arguments must outlive the job.
  ImageJob(const ModelSpec& spec, const ModelMeta& meta, const ImageIndex& index, const std::vector<int>& labels,
           const ImageResults& results)
      : spec_(spec), meta_(meta), index_(index), labels_(labels), results_(results) {}

  size_t NumItems() const override { return index_.files.size(); }
  size_t NumSamples(size_t) const override { return 1; }
  std::string Read(size_t item, uint8_t* input) override;
  // Throws AppError (kExitFailure) when the logits are not finite or the file cannot be written.
  void Store(size_t item, const float* logits) override;

  // Of the images stored; zeros where there are no labels.
  const Accuracy& GetAccuracy() const { return accuracy_; }

 private:
  void ReadImage(const std::filesystem::path& file, uint8_t* input) const;

  const ModelSpec& spec_;
  const ModelMeta& meta_;
  const ImageIndex& index_;
  const std::vector<int>& labels_;
  const ImageResults& results_;
  std::mutex accuracy_mutex_;
  Accuracy accuracy_;
};

}  // namespace resnet_zoo
