// Classifies the images of an index: decoding threads feed a bounded queue, one thread per slot of the backend runs it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "accuracy.h"
#include "backend.h"
#include "image_index.h"
#include "labels.h"
#include "latency.h"
#include "model_meta.h"

enum class ResultFormat { kBin, kTxt, kJson };

struct ClassifyOptions {
  std::filesystem::path result_folder;
  ResultFormat format = ResultFormat::kBin;
  int top_k = 5;
  int decode_threads = 1;
};

struct FailedImage {
  std::string file, reason;
};

struct ClassifyReport {
  size_t classified = 0;
  std::vector<FailedImage> failed;  // in the order of the index
  Accuracy accuracy;                // of the classified images, where there are labels
  LatencySummary latency;           // of a call of Run, warm-up excluded
  double seconds = 0;               // from the first image to the last result
  bool complete = true;             // false after Ctrl-C
};

// names: see ResultNames; labels: one per image or empty. Throws AppError when the backend or the disk fails or logits
// are not finite; the result files that there are then are whole.
ClassifyReport ClassifyImages(InferenceBackend* backend, const ModelMeta& meta, const ImageIndex& index,
                              const std::vector<std::string>& names, const std::vector<int>& labels,
                              const ClassifyOptions& options);
