"""Label files as people have them: one reader for evaluation, the off-line chain and `prepare`."""

import codecs
import os

import pytest

from src.data.sources.label_files import names_a_folder, read_class_names, read_labels
from src.errors import UserError

EXPECTED = {"a b.png": 0, "c.png": 12, "d,e.JPEG": 2}
NAMES = {"a.png": "golden retriever", "b.png": "class 7"}


def read(tmp_path, content, *arguments) -> dict:
    file = tmp_path / "labels"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    return read_labels(file, *arguments)


@pytest.mark.parametrize(
    "text",
    [
        "a b.png 0\nc.png 12\nd,e.JPEG 2\n",
        "a b.png 0\r\n\r\nc.png   12\r\nd,e.JPEG 2",
        '"a b.png" 0\n"c.png" "12"\nd,e.JPEG 2\n',
        "a b.png\t0\nc.png\t12\nd,e.JPEG\t2\n",
        "a b.png\t0\nc.png 12\nd,e.JPEG\t2\n",  # no separator of its own in every line
        'a b.png,0\nc.png,12\n"d,e.JPEG",2\n',
        '"a b.png", "0"\n"c.png", "12"\n"d,e.JPEG", "2"\n',
        "a b.png;0\nc.png; 12\nd,e.JPEG ;2\n",
        'image,label\na b.png,0\nc.png,12\n"d,e.JPEG",2\n',
        "Bild;Klasse\r\na b.png;0\r\nc.png;12\r\nd,e.JPEG;2\r\n",
        "Filename\tClass\na b.png\t0\nc.png\t12\nd,e.JPEG\t2\n",
        "./a b.png 0\n.//c.png 12\n./d,e.JPEG 2\n",
        '{"a b.png": 0, "c.png": 12,\n "d,e.JPEG": 2}',
        '{"a b.png": "0", "c.png": 12, "d,e.JPEG": 2}',
    ],
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["", "BOM"])
def test_numbers_in_every_form(tmp_path, text, mark):
    assert read(tmp_path, mark + text.encode()) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "a.png,golden retriever\nb.png,class 7\n",
        "file,class\na.png,golden retriever\nb.png,class 7\n",
        "a.png\tgolden retriever\nb.png\tclass 7\n",
        '{"a.png": "golden retriever", "b.png": "class 7"}',
    ],
)
def test_class_names_with_blanks(tmp_path, text):
    assert read(tmp_path, text) == NAMES


def test_a_header_is_what_cannot_be_a_label(tmp_path):
    table = "bild;tier\na.png;cat\n"
    assert read(tmp_path, table, ("cat", "dog")) == {"a.png": "cat"}
    assert read(tmp_path, table) == {"a.png": "cat", "bild": "tier"}  # nothing tells that these are no names
    assert read(tmp_path, "x.png;cot\na.png;cat\n", ("cat",)) == {"x.png": "cot", "a.png": "cat"}  # an image's, misspelt
    assert read(tmp_path, "image;label\n1;cat\n") == {"1": "cat"}


def test_numbers_are_names_where_others_are(tmp_path):
    assert read(tmp_path, "a.png 007\nb.png x\n") == {"a.png": "007", "b.png": "x"}


def test_names_that_are_no_text_keep_their_bytes(tmp_path):
    assert read(tmp_path, b"\xb9\xb7.png 3\n") == {os.fsdecode(b"\xb9\xb7.png"): 3}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a.png 0\nb.png 4294967297\n", "line 2: the label of 'b.png' must be a class number from 0 to 16777215, got 42"),
        ("a.png 2000000000\n", "line 1: the label of 'a.png' must be"),
        ("a.png -1\n", "line 1: the label of 'a.png' must be"),
        ("a.png " + "9" * 5000, "line 1: the label of 'a.png' must be"),
        ('{"a.png": 4294967297}', "the label of 'a.png' must be a class number from 0"),
        ('{"a.png": -1}', "got -1"),
        ('{"a.png": %s}' % ("9" * 5000), "cannot read"),
        ('{"a.png": 1.5}', "the label of 'a.png' must be a class number or name, got 1.5"),
        ('{"a.png": true}', "got True"),
        ('{"a.png": null}', "got None"),
        ('{"a.png": {"b": 1}}', "got a list or object"),
        ('{"a.png": 1, "a.png": 2}', "'a.png' has a label already"),
        ('{"a\\u0000.png": 1}', "cannot be the name of a file"),
        ('{"\\ud800.png": 1}', "cannot be the name of a file"),
        ('{"a": ' * 100_000, "cannot read"),
        ('{"a.png": ' + "[" * 900 + "]" * 900 + "}", "got a list or object"),
        ("x" * 300 + ".png 0", "line 1: 'xxx"),
        ("{}", "holds no labels"),
        ("\n\n", "holds no labels"),
        ("image,label\n", "holds no labels"),
        ("a.png 0\na.png 1\n", "line 2: 'a.png' has a label already"),
        ("a.png 0\n./a.png 1\n", "line 2: 'a.png' has a label already"),
        ("../../a.png 0\n", "line 1: '../../a.png' leads out"),
        ("b/../../a.png 0\n", "line 1"),
        ("/etc/passwd 0\n", "line 1: '/etc/passwd' leads out"),
        ("a.png,0\nb.png\n", "line 2: expected 'image-name label', got 'b.png'"),
        ("a.png,0,train\nb.png,1,val\n", "line 1: expected 'image-name label'"),
        ('"a.png,0\n"b.png,1\n', "line 1: expected 'image-name label'"),
        ("a.png,\nb.png,1\n", "line 1: expected"),
        ("a.png 0\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, part):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    line = str(error.value)
    assert part in line and line.startswith("label_file: ") and str(tmp_path / "labels") in line
    assert "\n" not in line and len(line) < 700


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UserError, match="is not a file"):
            read_labels(path)
        with pytest.raises(UserError, match="is not a file"):
            read_class_names(path)


def test_class_names_are_names_of_folders(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes(codecs.BOM_UTF8 + b"n01\r\ntench, Tinca\r\n\r\n")
    assert read_class_names(file) == ("n01", "tench, Tinca")
    for name in ("../x", "/etc", "a/b", "..", ".ssh", "a\x1b[31m", "x" * 300):
        file.write_text(f"good\n{name}\n")
        with pytest.raises(UserError, match="cannot be the name of a class folder"):
            read_class_names(file)
    assert not names_a_folder("a\nb") and not names_a_folder(" a") and not names_a_folder("") and names_a_folder("犬")
