"""Lists of images with what they are for, class folders at any depth, and classes under other names."""

import json
from pathlib import Path

import pytest
from test_datasets import write_cifar

from conftest import write_image
from src.config import build_config
from src.data.datasets import open_evaluation_data, open_training_data
from src.data.sources.folder import index_folder
from src.data.sources.label_files import read_list
from src.errors import UserError
from src.evaluation.predict import _print
from src.library import Prediction
from src.networks.imagenet import as_called_there, imagenet_classes, synsets_of, words_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("image,label,split\na.png,cat,train\nb.png,dog,val\n", ["train", "val"]),
        ("a.png,cat,training\nb.png,dog,Validation\n", ["train", "val"]),
        ('"a.png";"cat";"train"\n"b.png";"dog";"test"\n', ["train", "test"]),
        ("split\tlabel\tfilename\ndev\tcat\ta.png\ntest\tdog\tb.png\n", ["val", "test"]),
        ("id,filename,width,class,subset\n1,a.png,30,cat,train\n2,b.png,20,dog,valid\n", ["train", "val"]),
        ("id,filename,width,class\n1,a.png,30,cat\n2,b.png,20,dog\n", []),
        ("label,image\ncat,a.png\ndog,b.png\n", []),
        ("image,label\na.png,cat\nb.png,dog\n", []),
        ("a.png cat\nb.png dog\n", []),
        ('{"a.png": "cat", "b.png": "dog"}', []),
    ],
)
def test_a_list_says_what_images_show_and_may_say_what_they_are_for(tmp_path, text, parts):
    (tmp_path / "list.csv").write_text(text)
    listed = read_list(tmp_path / "list.csv")
    assert listed.labels == {"a.png": "cat", "b.png": "dog"}
    assert list(listed.parts.values()) == parts


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a.png,cat,train\nb.png,dog,trian\n", "line 2: the split must be train, val or test, got 'trian'"),
        ("image,label,split\na.png,cat\n", "line 2: expected 3 columns, none of them empty"),
        ("image,label,split\na.png,,train\n", "line 2: expected 3 columns, none of them empty"),
        ("image,label,split\na.png,cat,train\na.png,dog,val\n", "line 3: 'a.png' has a label already"),
        ("image,label,split\n../a.png,cat,train\n", "line 2: '../a.png' leads out of the folder"),
        ("image,label,split\n", "holds no labels"),
        ('image,label,split\n"a.png"x,cat,train\n', "line 2: cannot be read"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line(tmp_path, text, part):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UserError) as error:
        read_list(tmp_path / "list.csv")
    assert part in str(error.value) and "\n" not in str(error.value)


def test_a_list_with_parts_leaves_other_images_out_and_one_without_does_not(tmp_path, caplog):
    for name in ("a", "b", "c"):
        write_image(tmp_path / "data" / f"{name}.png", 0, seed=1)
    table = tmp_path / "list.csv"
    values = {"data_dir": str(tmp_path / "data"), "label_file": str(table), "num_classes": 1, "cache_dir": str(tmp_path)}
    table.write_text("a.png,x,train\nb.png,x,val\n")
    with caplog.at_level("INFO", "resnet_zoo"):
        train, val = open_training_data(build_config(values), 1)
    assert (train.files, val.files) == (["a.png"], ["b.png"]) and "1 images are not in" in caplog.text
    table.write_text("a.png,x\nb.png,x\n")
    with pytest.raises(UserError, match="has no label for 1 images: c.png"):
        open_training_data(build_config(values), 1)
    table.write_text("a.png,x,train\nd.png,x,val\n")
    with pytest.raises(UserError, match="1 files of '.*' are not in '.*': d.png"):
        open_training_data(build_config(values), 1)
    table.write_text("a.png,x,test\n")
    with pytest.raises(UserError, match="has no image for train; it has some for test"):
        open_training_data(build_config(values), 1)


def test_a_list_of_records(tmp_path):
    write_cifar(tmp_path / "cifar")
    values = {"data_dir": str(tmp_path / "cifar"), "num_classes": 10, "label_file": str(tmp_path / "list.csv")}
    (tmp_path / "list.csv").write_text("data_batch_2.bin:3,7,val\ndata_batch_1.bin:0,4,val\ndata_batch_1.bin:1,4,train\n")
    index = open_evaluation_data(build_config(values), 1)
    assert index.files == ["data_batch_1.bin:0", "data_batch_2.bin:3"] and index.labels.tolist() == [4, 7]
    assert not index.images.encoded and (index.read(1) == index.images.read(9)).all()
    (tmp_path / "list.csv").write_text("data_batch_9.bin:3,7,val\n")
    with pytest.raises(UserError, match="1 images of '.*' are not in '.*': data_batch_9.bin:3"):
        open_evaluation_data(build_config(values), 1)


def test_the_class_is_named_by_the_folder_that_was_chosen(tmp_path):
    for i, folder in enumerate(("2021/cat", "2021/dog", "2022/cat", "2022/cat/young")):
        write_image(tmp_path / folder / f"{i}.png", 0, seed=i)

    def classes(choice):
        index = index_folder(tmp_path, class_folders=choice)
        return {name: index.class_names[label] for name, label in zip(index.files, index.labels)}, index.class_names

    files = ["2021/cat/0.png", "2021/dog/1.png", "2022/cat/2.png", "2022/cat/young/3.png"]
    assert classes("top") == (dict(zip(files, ("2021", "2021", "2022", "2022"))), ("2021", "2022"))
    assert classes("name") == (dict(zip(files, ("cat", "dog", "cat", "young"))), ("cat", "dog", "young"))
    paths = ("2021/cat", "2021/dog", "2022/cat", "2022/cat/young")
    assert classes("path") == (dict(zip(files, paths)), paths)
    cached = index_folder(tmp_path, tmp_path / "cache", class_folders="name")
    again = index_folder(tmp_path, tmp_path / "cache", class_folders="name")  # from the list that is kept of "top"
    assert cached.fingerprint == again.fingerprint and cached.class_names == ("cat", "dog", "young")


def test_imagenets_classes_are_in_their_order():
    classes = list(imagenet_classes())
    assert len(classes) == 1000 and classes == sorted(classes) and all(imagenet_classes().values())
    known = {0: "tench", 281: "tabby cat", 517: "crane", 999: "toilet tissue"}  # as everybody numbers them
    assert all(word in words_of(classes[number]) for number, word in known.items())
    assert synsets_of("Tabby_cat") == synsets_of("tabby") == synsets_of("n02123045") == {"n02123045"}
    assert len(synsets_of("crane")) == 2 and not synsets_of("xyz") and words_of("xyz") == ""


def test_the_order_of_imagenets_classes_is_torchvisions():
    categories = pytest.importorskip("torchvision.models._meta")._IMAGENET_CATEGORIES
    theirs = {"crane bird": "crane", "maillot tank suit": "maillot, tank suit"}  # where it made one word of two
    for name, words in zip(categories, imagenet_classes().values()):
        assert theirs.get(name, name) in (words, *words.split(", "))


def test_a_class_of_imagenet_has_one_name_or_the_other():
    synsets = tuple(imagenet_classes())
    assert as_called_there(("tabby", "n01440764", "my dog"), synsets) == ("n02123045", "n01440764", "my dog")
    assert as_called_there(("n02123045",), ("tabby_cat", "dog")) == ("tabby_cat",)
    assert as_called_there(("crane",), ("crane", "tabby")) == ("crane",)
    with pytest.raises(UserError, match="class 'crane' means n02012849 and n03126707"):
        as_called_there(("crane",), synsets)


@pytest.mark.parametrize("names", [("tabby cat", "Tinca_tinca"), ("n02123045", "n01440764")])
def test_folders_named_by_synset_or_word_are_classes_of_a_network_of_imagenet(tmp_path, names):
    for i, name in enumerate(names):
        write_image(tmp_path / name / f"{i}.png", 0, seed=i)
    index = index_folder(tmp_path)
    found = dict(zip(index.files, index.with_classes(tuple(imagenet_classes())).labels.tolist()))
    assert {name.split("/")[1]: label for name, label in found.items()} == {"0.png": 281, "1.png": 0}


def test_a_prediction_says_the_words_of_a_synset(capsys):
    classes = [("n02123045", 281, 0.9), ("my cat", 1, 0.1)]
    _print(Path("a.jpg"), classes, as_json=False)
    assert capsys.readouterr().out.splitlines()[1:] == ["    90.00%  tabby, tabby cat (n02123045)", "    10.00%  my cat"]
    _print(Path("a.jpg"), classes, as_json=True)
    first, second = json.loads(capsys.readouterr().out)["predictions"]
    assert first == {"class": "n02123045", "words": "tabby, tabby cat", "index": 281, "probability": 0.9}
    assert "words" not in second and Prediction("n02123045", 281, 0.9).words == "tabby, tabby cat"
