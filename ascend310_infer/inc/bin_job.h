// .bin files through a network, to files of logits.
#pragma once

#include <filesystem>
#include <vector>

#include "backend.h"
#include "bin_inputs.h"
#include "run_batches.h"

namespace resnet_zoo {

class BinJob : public BatchJob {
 public:
  // text: results as text instead of float32 values. All arguments must outlive the job.
  BinJob(const ModelSpec& spec, const std::vector<BinInput>& inputs, const std::filesystem::path& folder, bool text)
      : spec_(spec), inputs_(inputs), folder_(folder), text_(text) {}

  size_t NumItems() const override { return inputs_.size(); }
  size_t NumSamples(size_t item) const override { return inputs_[item].samples; }
  // Throws AppError (kExitFailure) when a file cannot be read: without a flag that says so nothing is left out.
  std::string Read(size_t item, uint8_t* input) override;
  void Store(size_t item, const float* logits) override;

 private:
  const ModelSpec& spec_;
  const std::vector<BinInput>& inputs_;
  const std::filesystem::path& folder_;
  const bool text_;
};

}  // namespace resnet_zoo
