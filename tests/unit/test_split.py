"""What is held out and what trains: by class, by seed and names, written down, and read again."""

from pathlib import Path

import numpy as np
import pytest

from conftest import write_image
from src.config import build_config
from src.data.datasets import open_evaluation_data, open_training_data
from src.data.index import ImageIndex, index_of
from src.data.sources.folder import FolderImages
from src.data.sources.images import Names
from src.data.split import hold_out, limit_classes, write_split
from src.errors import UserError

COUNTS = {"common": 203, "rare": 7, "two": 2, "one": 1}


def images_of(counts, root=".") -> ImageIndex:
    """Images that are only names."""
    files = [f"{name}/{i}.jpg" for name, count in counts.items() for i in range(count)]
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    stamps = np.zeros((len(files), 2), np.int64)
    return index_of(FolderImages(root, Names.of(files), stamps), labels, counts)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_every_class_gives_its_share_to_within_one_image_and_none_is_in_both_parts(share):
    index = images_of(COUNTS)
    train, val = hold_out(index, share, seed=1)
    assert sorted(train.files + val.files) == sorted(index.files) and not set(train.files) & set(val.files)
    held_out = np.bincount(val.labels, minlength=4)
    assert (abs(held_out - share * np.array(list(COUNTS.values()))) <= 1).all()
    assert (np.bincount(train.labels, minlength=4) >= 1).all() and (held_out[:3] >= 1).all()


def test_the_choice_depends_on_seed_and_names_alone():
    index = images_of(COUNTS)
    val = set(hold_out(index, 0.2, seed=1)[1].files)
    assert val != set(hold_out(index, 0.2, seed=2)[1].files)
    mixed = index.select(np.random.default_rng(0).permutation(len(index)))
    assert set(hold_out(mixed, 0.2, seed=1)[1].files) == val
    grown = hold_out(images_of({**COUNTS, "common": 213}), 0.2, seed=1)[1]
    assert len(val - set(grown.files)) <= 3  # ten more images move few others


def test_a_few_images_of_each_class_are_among_more_and_none_is_held_out():
    train, val = hold_out(images_of(COUNTS), 0.2, seed=1)
    few, more = (limit_classes(train, count, seed=1) for count in (3, 5))
    assert np.bincount(few.labels).tolist() == [3, 3, 1, 1] and np.bincount(more.labels).tolist() == [5, 5, 1, 1]
    assert set(few.files) < set(more.files) < set(train.files) and not set(more.files) & set(val.files)


@pytest.fixture
def photos(tmp_path):
    """A flat folder of 12 images, half of them in a folder below, and a table of what they show."""
    root = tmp_path / "photos"
    for i in range(12):
        write_image(root / ("" if i % 2 else "more, later") / f"a {i}.png", i % 3, seed=i)
    rows = [f"{'' if i % 2 else 'more, later/'}a {i}.png" for i in range(12)]
    table = tmp_path / "photos.csv"
    table.write_text("image,label\n" + "".join(f'"{row}",class {i % 3}\n' for i, row in enumerate(rows)))
    return {"data_dir": str(root), "label_file": str(table), "num_classes": 3, "cache_dir": str(tmp_path / "cache")}


def test_what_was_written_down_is_read_as_it_was(photos, tmp_path):
    train, val = open_training_data(build_config({**photos, "val_split": 0.25}), 1)
    assert (len(train), len(val)) == (9, 3) and train.class_names == ("class 0", "class 1", "class 2")
    write_split(tmp_path / "split.csv", train=train, val=val)
    again = {**photos, "label_file": str(tmp_path / "split.csv")}
    train2, val2 = open_training_data(build_config(again), 1)
    assert sorted(zip(train.files, train.labels)) == list(zip(train2.files, train2.labels))
    assert sorted(val.files) == val2.files == open_evaluation_data(build_config(again), 1).files
    assert open_evaluation_data(build_config({**again, "eval_split": "train"}), 1).files == train2.files
    with pytest.raises(UserError, match="eval_split: .*split.csv' has no image for test; it has some for train, val"):
        open_evaluation_data(build_config({**again, "eval_split": "test"}), 1)
    with pytest.raises(UserError, match="val_split: 0.25, but '.*split.csv' has rows for val"):
        open_training_data(build_config({**again, "val_split": 0.25}), 1)
    assert len(open_evaluation_data(build_config(photos), 1)) == 12


def test_held_out_images_are_given_even_where_nothing_is_evaluated(photos):
    train, val = open_training_data(build_config({**photos, "val_split": 0.25, "eval_interval": 0}), 1)
    assert (len(train), len(val)) == (9, 3)
    assert open_training_data(build_config(photos), 1)[1] is None


def test_bare_numbers_get_names_and_a_number_beyond_the_classes_is_refused(photos, tmp_path):
    table, names = tmp_path / "numbers.csv", tmp_path / "names.txt"
    table.write_text(Path(photos["label_file"]).read_text().replace("class ", ""))
    names.write_text("red\ngreen\nblue\n")
    photos["label_file"] = str(table)
    assert open_training_data(build_config(photos), 1)[0].class_names == ()
    assert open_training_data(build_config({**photos, "class_names": str(names)}), 1)[0].class_names == (
        "red",
        "green",
        "blue",
    )
    with pytest.raises(UserError, match="num_classes: .* has label 2, but the network has 2 classes"):
        open_training_data(build_config({**photos, "num_classes": 2}), 1)


def test_a_split_of_class_folders_is_of_those_and_not_of_a_validation_part(data_set, tmp_path):
    values = {"num_classes": 3, "cache_dir": str(tmp_path / "cache"), "val_split": 0.3}
    train, val = open_training_data(build_config({**values, "data_dir": str(data_set / "train")}), 1)
    assert (len(train), len(val)) == (12, 6) and val.images is train.images
    with pytest.raises(UserError, match="holds val/"):
        open_training_data(build_config({**values, "data_dir": str(data_set)}), 1)
    with pytest.raises(UserError, match="val_split: 0.3, but eval_data_dir names images"):
        build_config({**values, "eval_data_dir": "x"})
    few = {**values, "val_split": 0, "images_per_class": 2, "data_dir": str(data_set)}
    train, val = open_training_data(build_config(few), 1)
    assert (len(train), len(val)) == (6, 15)


def test_a_name_with_a_line_break_cannot_be_written_down(tmp_path):
    with pytest.raises(UserError, match=r"split.csv: 'a\\nb/0.jpg' has a line break"):
        write_split(tmp_path / "split.csv", train=images_of({"a\nb": 1}))
