"""Files that say what images show: label files as people have them, and lists of class names."""

import codecs
import csv
import json
import os
import re
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ...errors import UserError
from .folder import EXTENSIONS, is_image

_MOST_CLASSES = 1 << 24  # far more than any network has; what is beyond is a mistake and would take memory without end
_NUMBER = re.compile(r"[+-]?[0-9]+")
_ENDINGS = "|".join(ending[1:] for ending in EXTENSIONS)
_IMAGE_AND_WORD = re.compile(rf'\.({_ENDINGS})"? +[^\s;,]+$', re.IGNORECASE)
_NAME_HEADERS = ("image", "images", "image_name", "image_id", "img", "file", "filename", "file_name", "name", "path", "id")
_LABEL_HEADERS = ("label", "labels", "class", "class_name", "class_id", "target", "category")
_PART_HEADERS = ("split", "part", "set", "subset", "partition")
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}

Labels = dict[str, Union[int, str]]
_Row = tuple[str, str, str]  # where it stands (" line <n>"), name, label


class Listed(NamedTuple):
    """What a list of images says.

    Attributes:
        labels: image name -> label, as `read_labels` gives them.
        parts: image name -> "train", "val" or "test"; empty where the list does not say.
    """

    labels: Labels
    parts: dict[str, str]


def read_labels(label_file: Path, class_names: tuple[str, ...] = ()) -> Labels:
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
    return _labels_of(
        label_file, _json_rows(label_file, text) if _is_json(text) else _text_rows(label_file, text, class_names)
    )


def read_list(label_file: Path) -> Listed:
    """Reads a label file that may have further columns, one of which may say what an image is for.

    A header names the columns: image, label and split, or other usual words for them; others are passed over. Without a
    header they are image, label and, where there is a third, split: train, val or test, or usual words for those. Text
    without tabs, semicolons or commas, and JSON, have no such column.

    Raises:
        UserError: as `read_labels`, and for a split that is none of these.
    """
    text = read_text(label_file, "label_file")
    table = [] if _is_json(text) else _table(label_file, text)
    columns = _columns(table[0][1]) if table else None
    if not columns:
        return Listed(read_labels(label_file), {})
    if _has_header(table[0][1], columns):
        del table[0]
    rows, places = [], [column for column in columns if column is not None]
    for place, fields in table:
        if len(fields) <= max(places) or not all(fields[column] for column in places):
            problem = f"expected {max(places) + 1} columns, none of them empty"
            raise UserError(f"label_file: '{label_file}'{place}: {problem}")
        rows.append((place, fields[columns[0]], fields[columns[1]]))
    labels = _labels_of(label_file, rows)
    if columns[2] is None:
        return Listed(labels, {})
    parts = [_PARTS.get(fields[columns[2]].lower(), "") for _, fields in table]
    if "" in parts:
        place, fields = table[parts.index("")]
        problem = f"the split must be train, val or test, got '{fields[columns[2]][:50]}'"
        raise UserError(f"label_file: '{label_file}'{place}: {problem}")
    return Listed(labels, dict(zip(labels, parts)))


def _is_json(text: str) -> bool:
    return bool(re.match(r'\s*\{\s*["}]', text))


def _labels_of(label_file: Path, rows: list[_Row]) -> Labels:
    """The labels of rows, checked."""
    if not rows:
        raise UserError(f"label_file: '{label_file}' holds no labels")
    are_numbers = all(_NUMBER.fullmatch(label) for *_, label in rows)
    labels: Labels = {}
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


def _json_rows(path: Path, text: str) -> list[_Row]:
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


def _table(path: Path, text: str) -> list[tuple[str, list[str]]]:
    """Rows (" line <n>", fields) of a text whose fields are separated by tabs, semicolons or commas; else []."""
    lines = _lines(text)
    separator = _separator([line for _, line in lines])
    if separator == " ":
        return []
    table = []
    for number, line in lines:
        try:
            fields = next(csv.reader([line], strict=True, delimiter=separator, skipinitialspace=True))
        except csv.Error:
            raise UserError(f"label_file: '{path}' line {number}: cannot be read: '{line[:200]}'") from None
        is_quoted = line.startswith('"')
        table.append(
            (f" line {number}", [field if is_quoted and not i else field.strip() for i, field in enumerate(fields)])
        )
    return table


def _columns(first: list[str]) -> Optional[tuple[int, int, Optional[int]]]:
    """The columns of name, label and split; None for a table of two columns in this order."""
    words = [field.lower() for field in first]
    named = [
        next((words.index(word) for word in headers if word in words), None)
        for headers in (_NAME_HEADERS, _LABEL_HEADERS, _PART_HEADERS)
    ]
    if named[0] is not None and named[1] is not None:
        return None if named == [0, 1, None] and len(first) == 2 else (named[0], named[1], named[2])
    return (0, 1, 2) if len(first) == 3 else None


def _has_header(first: list[str], columns: tuple[int, int, Optional[int]]) -> bool:
    words = [field.lower() for field in first]
    named = words[columns[0]] in _NAME_HEADERS and words[columns[1]] in _LABEL_HEADERS
    return named or (columns[2] is not None and words[columns[2]] in _PART_HEADERS)


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _text_rows(path: Path, text: str, class_names: tuple[str, ...]) -> list[_Row]:
    """Rows (" line <n>", name, label)."""
    lines = _lines(text)
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


def _is_header(rows: list[_Row], class_names: tuple[str, ...]) -> bool:
    (_, name, label), others = rows[0], rows[1:]
    if is_image(name) or _NUMBER.fullmatch(label) or label in class_names:
        return False
    words = name.lower() in _NAME_HEADERS and label.lower() in _LABEL_HEADERS
    return bool(class_names) or words or (len(others) > 0 and all(_NUMBER.fullmatch(label) for *_, label in others))
