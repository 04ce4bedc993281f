#include "model_meta.h"

#include "app_error.h"
#include "files.h"
#include "json_texts.h"
#include "sha256.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

ModelMeta ReadModelMeta(const fs::path& model) {
  constexpr size_t kLargestMeta = 64 << 20;  // bytes
  std::error_code error;
  if (!fs::is_regular_file(model, error)) throw AppError("no such file '" + model.string() + "'");
  const fs::path path = model.string() + ".meta.json";
  if (!fs::is_regular_file(path, error)) {
    throw AppError(path.string() + ": missing; it holds the preprocessing: copy it from where export.py wrote " +
                   model.filename().string() + ", or export again");
  }
  ModelMeta meta;
  std::string digest;
  try {
    meta = ParseMetaJson(ReadFile(path, kLargestMeta), &digest);
  } catch (const AppError& problem) {
    throw AppError(path.string() + ": cannot be used: " + problem.what() + "; export the checkpoint again");
  }
  if (digest != Sha256OfFile(model)) {
    throw AppError(model.string() + ": damaged or replaced: its checksum is not the one in " + path.filename().string() +
                   "; export it again");
  }
  if (!meta.encryption.empty()) {
    throw AppError(model.string() + ": is encrypted (" + meta.encryption + "), which this program cannot open; export it " +
                   "without --enc_key_file");
  }
  if (meta.input.format == "YUV420SP_U8") {
    throw AppError(model.string() + ": takes YUV420SP images, this program gives RGB; export it with --aipp rgb");
  }
  return meta;
}

}  // namespace resnet_zoo
