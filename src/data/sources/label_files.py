"""Files that say what images show: label files as people have them, and lists of class names."""

import codecs
import csv
import json
import os
import re
from pathlib import Path
from typing import Union

from ...errors import UserError
from .folder import EXTENSIONS, is_image

_MOST_CLASSES = 1 << 24  # far more than any network has; what is beyond is a mistake and would take memory without end
_NUMBER = re.compile(r"[+-]?[0-9]+")
_ENDINGS = "|".join(ending[1:] for ending in EXTENSIONS)
_IMAGE_AND_WORD = re.compile(rf'\.({_ENDINGS})"? +[^\s;,]+$', re.IGNORECASE)
_NAME_HEADERS = ("image", "images", "image_name", "image_id", "img", "file", "filename", "file_name", "name", "path", "id")
_LABEL_HEADERS = ("label", "labels", "class", "class_name", "class_id", "target", "category")


def read_labels(label_file: Path, class_names: tuple[str, ...] = ()) -> dict[str, Union[int, str]]:
    """Reads a label file as people have them: lines of an image's name and its label, or a JSON object of the two.

    Text is UTF-8 with or without a byte order mark, names of files that are no text in their own bytes. Name and label
    may stand in double quotes. What separates them is a tab, semicolon or comma if all lines hold one, else the last
    blank of the line. Only files with such a separator may have a header, which counts as one if its label is neither a
    number nor a class, and its name not that of an image.

    Args:
        class_names: of the network; empty where they are not known.

    Returns:
        Image name -> label; all labels are class numbers (int) from 0, or all are class names (str).

    Raises:
        UserError: the line that cannot be read, gives a second label or one that is no class number, or whose name leads
            out of the folder of images.
    """
    text = read_text(label_file, "label_file")
    is_json = re.match(r'\s*\{\s*["}]', text)
    rows = _json_rows(label_file, text) if is_json else _text_rows(label_file, text, class_names)
    if not rows:
        raise UserError(f"label_file: '{label_file}' holds no labels")
    are_numbers = all(_NUMBER.fullmatch(label) for *_, label in rows)
    labels: dict[str, Union[int, str]] = {}
    for place, given, label in rows:
        name, problem = os.path.normpath(given), ""
        if name.startswith("/") or ".." in given.split("/"):
            problem = f"'{name[:200]}' leads out of the folder of images"
        elif not _can_be_a_path(name):
            problem = f"{name[:200]!r} cannot be the name of a file"
        elif name in labels:
            problem = f"'{name[:200]}' has a label already"
        elif are_numbers and (len(label) > 18 or not 0 <= int(label) < _MOST_CLASSES):
            problem = f"the label of '{name}' must be a class number from 0 to {_MOST_CLASSES - 1}, got {label[:50]}"
        if problem:
            raise UserError(f"label_file: '{label_file}'{place}: {problem}")
        labels[name] = int(label) if are_numbers else label
    return labels


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names of classes 0, 1, ..., one a line. Raises UserError for a name that stands twice or cannot be a folder's."""
    names = tuple(line.strip() for line in read_text(path, "class_names").split("\n") if line.strip())
    if len(set(names)) < len(names):
        raise UserError(f"class_names: '{path}' holds a name twice")
    for name in names:
        if not names_a_folder(name):
            raise UserError(f"class_names: '{path}': {name[:100]!r} cannot be the name of a class folder")
    return names


def names_a_folder(name: str) -> bool:
    """Whether a class can be called so: one part of a path that is not hidden and comes back whole from a line of text."""
    is_part = _can_be_a_path(name) and not re.search(r"^\.|[/\x00-\x1f\x7f-\x9f]", name)
    return bool(is_part and name == name.strip() and name)


def _can_be_a_path(name: str) -> bool:
    """JSON, and long lines, can hold what no file system does."""
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded and len(encoded) < 4096 and max(map(len, encoded.split(b"/"))) < 256


def read_text(path: Path, key: str) -> str:
    """A text file of a user, UTF-8 with or without a byte order mark; other bytes as Python shows them in file names.

    Raises:
        UserError: no such file, not a regular one, or UTF-16; says so of `key`.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{key}: '{path}' is not a file")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{key}: cannot read '{path}': {error.strerror}") from None
    if b"\0" in content:
        raise UserError(f"{key}: cannot read '{path}': it is not UTF-8 text (UTF-16?); save it as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _json_rows(path: Path, text: str) -> list[tuple[str, str, str]]:
    """Rows ("", name, label) of {"name": label, ...}."""
    try:
        pairs = json.loads(text, object_pairs_hook=list)  # a dict would hide names that stand twice
    except (ValueError, RecursionError) as error:
        raise UserError(f"label_file: cannot read '{path}': {error}") from None
    for name, label in pairs:
        if not isinstance(label, (int, str)) or isinstance(label, bool):
            found = "a list or object" if isinstance(label, list) else repr(label)
            problem = f"the label of '{name[:200]}' must be a class number or name, got {found}"
            raise UserError(f"label_file: '{path}': {problem}")
    return [("", name, str(label)) for name, label in pairs]


def _text_rows(path: Path, text: str, class_names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Rows (" line <n>", name, label)."""
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    separator = _separator([line for _, line in lines])
    rows = []
    for number, line in lines:
        try:
            name, label = _fields(line, separator)
        except (csv.Error, ValueError):
            problem = f"expected 'image-name label', got '{line[:200]}'"
            raise UserError(f"label_file: '{path}' line {number}: {problem}") from None
        rows.append((f" line {number}", name, label))
    if separator != " " and _is_header(rows, class_names):
        del rows[0]
    return rows


def _separator(lines: list[str]) -> str:
    """What stands between name and label in every line; a blank where nothing else does."""
    if all(_IMAGE_AND_WORD.search(line) for line in lines[1:] or lines):
        return " "
    for separator in "\t;,":
        if all(separator in line or len(line.split()) == 1 for line in lines) and any(separator in line for line in lines):
            return separator
    return " "


def _fields(line: str, separator: str) -> tuple[str, str]:
    """Name and label of a line. Raises ValueError or csv.Error where it does not hold these two."""
    if separator == " ":  # the name may hold blanks
        name, label = (_unquoted(field) for field in line.rsplit(None, 1))
    else:
        name, label = next(csv.reader([line], strict=True, delimiter=separator, skipinitialspace=True))
        name, label = name if line.startswith('"') else name.strip(), label.strip()
    if not name or not label:
        raise ValueError(line)
    return name, label


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if len(field) > 1 and field[0] == field[-1] == '"' else field


def _is_header(rows: list[tuple[str, str, str]], class_names: tuple[str, ...]) -> bool:
    (_, name, label), others = rows[0], rows[1:]
    if is_image(name) or _NUMBER.fullmatch(label) or label in class_names:
        return False
    words = name.lower() in _NAME_HEADERS and label.lower() in _LABEL_HEADERS
    return bool(class_names) or words or (len(others) > 0 and all(_NUMBER.fullmatch(label) for *_, label in others))
