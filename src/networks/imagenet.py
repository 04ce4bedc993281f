"""ImageNet's 1,000 classes (ILSVRC 2012), in the order of their numbers: synsets of WordNet 3.0 and their words.

imagenet_classes.txt holds a line per class: synset, tab, words. Synsets in rising order are the numbers that torchvision,
timm, the ResNeSt authors and MindCV use. Taken from timm 1.0.31 (Apache License 2.0), whose words are WordNet's (WordNet
license).
"""

from functools import lru_cache
from pathlib import Path

from ..errors import UserError

_FILE = Path(__file__).with_name("imagenet_classes.txt")


@lru_cache(maxsize=1)
def imagenet_classes() -> dict[str, str]:
    """Synset -> words, separated by commas: "n02123045" -> "tabby, tabby cat"."""
    rows = (line.split("\t") for line in _FILE.read_text(encoding="ascii").splitlines())
    return {synset: words for synset, words in rows}  # noqa: C416 # for the types


def words_of(name: str) -> str:
    """The words of a class that is called by its synset; "" of any other."""
    return imagenet_classes().get(name, "")


def full_name(name: str) -> str:
    """A class as people are told of it: "tabby, tabby cat (n02123045)" where it is called by its synset, else as it is."""
    words = words_of(name)
    return f"{words} ({name})" if words else name


def synsets_of(name: str) -> frozenset[str]:
    """The synsets that a name stands for: itself, one of its words or all of them; case and "_" for a blank do not matter.

    Several where a word means several classes ("crane"), none for other names.
    """
    return frozenset([name]) if name in imagenet_classes() else _by_words().get(_plain(name), frozenset())


def as_called_there(names: tuple[str, ...], there: tuple[str, ...]) -> tuple[str, ...]:
    """Names of classes as another list calls them, where both mean the same class of ImageNet; else as they are.

    Raises:
        UserError: a name that means several classes of the other list.
    """
    known = set(there)
    if known.issuperset(names):
        return names
    by_synset = {synset: name for name in there for synset in synsets_of(name)}
    return tuple(name if name in known else _same_class(name, by_synset) for name in names)


@lru_cache(maxsize=1)
def _by_words() -> dict[str, frozenset[str]]:
    """Word, or all words -> the synsets that have it."""
    found: dict[str, set[str]] = {}
    for synset, words in imagenet_classes().items():
        for word in {words, *words.split(", ")}:
            found.setdefault(_plain(word), set()).add(synset)
    return {word: frozenset(synsets) for word, synsets in found.items()}


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()


def _same_class(name: str, by_synset: dict[str, str]) -> str:
    found = sorted({by_synset[synset] for synset in synsets_of(name) if synset in by_synset})
    if len(found) > 1:
        raise UserError(f"class '{name}' means {' and '.join(found)}; name its folder by one of these")
    return found[0] if found else name
