// The converter of MindSpore Lite's wheel, which has its library but not its program, behind the flags of that program that
// export.py uses.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <include/api/status.h>
#include <include/api/types.h>

namespace mindspore {

namespace converter {
enum FmkType : int { kFmkTypeOnnx = 2 };
}

// As the library defines it; its header is not in the wheel.
class Converter {
 public:
  Converter();
  void SetSaveType(enum ModelType type);
  Status Convert(converter::FmkType type, const std::vector<char>& model, const std::vector<char>& output,
                 const std::vector<char>& weights);

 private:
  struct Data;
  std::shared_ptr<Data> data_;
};

}  // namespace mindspore

int main(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    flags[flag.substr(0, flag.find('='))] = flag.substr(flag.find('=') + 1);
  }
  const std::string model = flags["--modelFile"], output = flags["--outputFile"];
  if (flags["--fmk"] != "ONNX" || flags["--saveType"] != "MINDIR" || flags.size() != 4) {
    std::fprintf(stderr, "expected --fmk=ONNX --modelFile= --outputFile= --saveType=MINDIR and nothing else\n");
    return 2;
  }
  mindspore::Converter converter;
  converter.SetSaveType(mindspore::kMindIR);
  const auto status = converter.Convert(mindspore::converter::kFmkTypeOnnx, {model.begin(), model.end()},
                                        {output.begin(), output.end()}, {});
  return status.IsOk() ? 0 : 1;
}
