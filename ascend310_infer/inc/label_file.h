// Label files as people have them, by the rule of src/data/sources/label_files.py.
#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace resnet_zoo {

// What a label file says of an image.
struct LabelText {
  std::string text;        // a class number or name
  int line = 0;            // 0: of a JSON file
  bool is_number = false;  // whether all labels of the file are numbers; else all are names
};

// Image name -> label, of a JSON object {"image-name": label} or of text, UTF-8 with or without a byte order mark: a line
// per image, its name and its label, both of which may stand in double quotes. They are separated by a tab, semicolon or
// comma if all lines hold one, else by the last blank of the line. Only files with such a separator may have a header, which
// is a first line whose label is neither a number nor a class, and whose name not that of an image. class_names: of the
// network, or empty. Throws AppError naming the line that cannot be read, gives a second label or a number that is none of a
// class, or whose name leads out of the folder of images.
std::unordered_map<std::string, LabelText> ReadLabelFile(const std::filesystem::path& file,
                                                         const std::vector<std::string>& class_names);

}  // namespace resnet_zoo
