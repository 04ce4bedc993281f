"""Writes the pages that are made of data: keys, networks and recipes, in docs/ and docs/zh/, and the READMEs' short table.

Keys come from `src/config`, networks from `src/networks` (parameters and multiply-adds are counted on them, which takes a
minute or two), recipes from `configs/`. Chinese texts are in docs/zh/translations.json, by the English text; one that is
missing there, or whose English text has changed since, stays English and is listed.

Usage: python scripts/make_docs.py
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.config import DEFAULTS_FILE, KEYS  # noqa: E402
from src.config.keys import written  # noqa: E402
from src.networks.published import find_accuracy  # noqa: E402
from src.networks.registry import ALIASES, find_model, list_models  # noqa: E402

TRANSLATIONS = ROOT / "docs/zh/translations.json"
FAMILIES = {"resnet": "ResNet", "resnext": "ResNeXt", "wide_resnet": "Wide-ResNet", "seresnet": "SE-ResNet",
            "seresnext": "SE-ResNeXt", "resnest": "ResNeSt"}  # fmt: skip

WRITTEN = "Written by `python scripts/make_docs.py` from {source}; do not edit this page."
KEYS_INTRODUCTION = f"""{WRITTEN.format(source="src/config")}

`--key value` on the command line, `key: value` in a recipe. A key marked with * decides what the weights become: a resumed
run must have the same, unless `--resume_allow` names it. A command refuses the keys of another one; a recipe may hold those
of all. Also: `--config_path FILE`, `--dry_run`, `--help`; `--device_target` is another name of `--platform`."""
NETWORKS_INTRODUCTION = f"""{WRITTEN.format(source="src/networks")}

`python -m src.models` prints this table, with `--json` as JSON. Parameters and multiply-adds are counted on the network,
with 1,000 classes (10 for the networks of 32 x 32 pixels). Top-1 is the best that others have published, on ImageNet
(CIFAR-10 for 32 x 32), in one crop of that size, of weights that saw no other images: it says what to expect of weights that
you import, not what was trained here.

Parameters bear torchvision's and timm's names (`layer1.0.bn1.running_mean`); the letters `d` and `e` are timm's."""
RECIPES_INTRODUCTION = f"""{WRITTEN.format(source="configs/")}

`--config_path configs/<recipe>.yaml`. A recipe holds what differs from `default_config.yaml`, and what it should reach:
*reproduced* here, *cited* from the source that is named, or *untested*."""


class Translator:
    """English to the language of a page.

    Attributes:
        missing: texts asked for that have no translation.
    """

    def __init__(self, texts: Mapping[str, str]):
        self.texts = texts
        self.missing: list[str] = []

    def __call__(self, text: str) -> str:
        if self.texts and text not in self.texts:
            self.missing.append(text)
        return self.texts.get(text, text)


def table(head: str, rows: list[list[str]]) -> str:
    """A Markdown table; `head` as `| a | b |`. Columns of numbers are not aligned: the source stays readable."""
    lines = [head, "| " + " | ".join(["---"] * (head.count("|") - 1)) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows)]) + "\n"


def keys_page(say: Translator) -> str:
    """Every key by section: default, commands, meaning; keys that decide the weights are marked."""
    parts = [f"# {say('Keys')}\n\n{say(KEYS_INTRODUCTION)}\n"]
    for section in dict.fromkeys(key.section for key in KEYS.values()):
        rows = [
            [f"`{key.name}`{' *' * key.decides}", f"`{written(key.default)}`", " ".join(key.commands),
             say(key.text).replace("|", "\\|")]
            for key in KEYS.values() if key.section == section
        ]  # fmt: skip
        title = say(section)
        parts.append(f"## {title[0].upper() + title[1:]}\n\n{table(say('| key | default | commands | meaning |'), rows)}")
    return "\n".join(parts)


def networks_page(say: Translator, counts: Mapping[str, tuple[str, str]]) -> str:
    """Every network with its size, published accuracy and source. `counts`: name -> (parameters, multiply-adds)."""
    rows = []
    for name in list_models():
        spec, accuracy = find_model(name), find_accuracy(name)
        parameters, multiply_adds = counts[name]
        top1 = f"{accuracy.top1} ({accuracy.source})" if accuracy else "-"
        size = f"{spec.image_size} x {spec.image_size}"
        reference = say.texts.get(spec.reference, spec.reference)  # papers are named alike in all languages
        rows.append([f"`{name}`", size, parameters, multiply_adds, top1, reference])
    aliases = [[f"`{alias}`", f"`{name}`"] for alias, name in ALIASES.items()]
    head = say("| network | image | parameters | multiply-adds | top-1, % | defined in |")
    return (
        f"# {say('Networks')}\n\n{say(NETWORKS_INTRODUCTION)}\n\n{table(head, rows)}\n"
        f"## {say('Other names')}\n\n{table(say('| name | stands for |'), aliases)}"
    )


def networks_short(say: Translator, counts: Mapping[str, tuple[str, str]]) -> str:
    """One row per family, for the READMEs. Arguments as `networks_page`."""
    families: dict[tuple[str, int], list[str]] = {}
    for name in list_models():
        prefix = FAMILIES[re.match(r"[a-z_]*?(?=_?\d)", name)[0]]
        small = find_model(name).image_size == 32
        families.setdefault((prefix, 32 if small else 224), []).append(name)
    rows = []
    for (family, size), names in families.items():
        sizes = sorted(int(counts[name][0].replace(",", "")) / 1e6 for name in names)
        accuracies = sorted(float(accuracy.top1) for accuracy in map(find_accuracy, names) if accuracy)
        rows.append([
            family + (f", {size} x {size}" if size == 32 else ""), " ".join(f"`{name}`" for name in names),
            span(sizes[0], sizes[-1]), span(accuracies[0], accuracies[-1], 2),
        ])  # fmt: skip
    return table(say("| family | networks | parameters, millions | published top-1, % |"), rows)


def span(low: float, high: float, digits: int = 1) -> str:
    """'11.7 - 60.2', or one number where both are the same."""
    return f"{low:.{digits}f}" if low == high else f"{low:.{digits}f} - {high:.{digits}f}"


def recipes_page(say: Translator, configs: str = "../configs") -> str:
    """Every recipe with what it should reach. `configs`: the folder as seen from the page."""
    defaults, rows = yaml.safe_load(DEFAULTS_FILE.read_text(encoding="utf-8")), []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        claim = recipe["expected"]
        top1 = f"{100 * claim['top1']:.2f}" if "top1" in claim else ""
        cells = [f"[{path.stem}]({configs}/{path.name})", {**defaults, **recipe}["backbone"], claim.get("devices", "")]
        cells += [claim["status"], top1, *(claim.get(name, "") for name in ("img_per_s", "hardware", "source"))]
        rows.append(list(map(str, cells)))
    head = say("| recipe | network | devices | status | top-1, % | img/s | hardware | source |")
    return f"# {say('Recipes')}\n\n{say(RECIPES_INTRODUCTION)}\n\n{table(head, rows)}"


def pages(counts: Mapping[str, tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """File below the repository -> text, and the English texts that have no Chinese translation."""
    chinese = Translator(json.loads(TRANSLATIONS.read_text(encoding="utf-8")))
    found = {}
    for say, folder, readme, configs in (
        (Translator({}), "docs", "README.md", "../configs"), (chinese, "docs/zh", "README_CN.md", "../../configs"),
    ):  # fmt: skip
        found[f"{folder}/keys.md"] = keys_page(say)
        found[f"{folder}/networks.md"] = networks_page(say, counts)
        found[f"{folder}/recipes.md"] = recipes_page(say, configs)
        text = (ROOT / readme).read_text(encoding="utf-8")
        block = f"<!-- networks -->\n{networks_short(say, counts)}<!-- /networks -->"
        found[readme] = re.sub(r"<!-- networks -->.*<!-- /networks -->", lambda _: block, text, flags=re.DOTALL)  # noqa: B023
    return found, chinese.missing


def main() -> int:
    """Counts, and writes what has changed."""
    from src import device
    from src.config import build_config
    from src.models.__main__ import describe

    device.prepare(build_config({"platform": "CPU"}))
    counted = map(describe, list_models())
    counts = {row["name"]: (f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e9:.3f} G") for row in counted}
    texts, missing = pages(counts)
    for name, text in texts.items():
        (ROOT / name).write_text(text, encoding="utf-8")
    for text in missing:
        print(f"no translation: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
