"""Each data set and encoder is what its card says."""

import shutil

import numpy as np
import pytest

import mmlearn as mm
from mmlearn.data import card, datasets, fetch, load, names, split, store, unpack, voices

ROWS = ["What", "Simulated", "From", "Licence", "Size", "Split", "Not for", "Second source"]


pytestmark = pytest.mark.usefixtures("fetched")


@pytest.mark.parametrize("name", names())
def test_card_says_everything(name):
    text = card(name)
    assert text.startswith(f"# {name}\n")
    for row in ROWS:
        assert f"\n| {row} | " in text, f"the card of {name} has no row {row}"


def test_every_card_is_of_something():
    assert sorted(path.stem for path in store.DATA.glob("*.md")) == sorted(names())


def test_every_source_is_pinned_and_used():
    lines = store.SOURCES.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "--"))]
    used = sorted((p for packages, _ in unpack.BUNDLES.values() for p in packages), key=str.lower)
    assert [pin.split("==")[0] for pin in pins] == used
    assert all(" --hash=sha256:" in pin for pin in pins)


@pytest.mark.parametrize("name", ["cats", "sources"])
def test_unknown_names(name):
    for ask in (load, card, lambda name: fetch([name])):
        with pytest.raises(ValueError, match=f"no data is called {name}; there are: .*optdigits"):
            ask(name)
    with pytest.raises(ValueError, match="no encoder is called 'emoji'; there are: minilm, "):
        mm.data.encoder("emoji")
    with pytest.raises(
        ValueError, match=r"minilm is an encoder: call mm\.data\.encoder\('minilm'\)"
    ):
        load("minilm")


def test_nothing_to_fetch(capsys):
    fetch(["optdigits", "breast_cancer"])
    fetch()
    assert capsys.readouterr().out.count(f"nothing to fetch: all of it is in {store.cache()}") == 2


def on_card(data, *facts):
    """Check that the card names each fact, and whether the data are simulated."""
    text = card(data.name)
    for fact in facts:
        assert str(fact) in text, f"the card of {data.name} does not say {fact}"
    assert ("| Simulated | yes" in text) == data.simulated
    assert len(data) == len(data.label) and set(data.label) == set(range(len(data.classes)))


def counts(data):
    """The classes with their counts as a card writes them."""
    numbers = np.bincount(data.label, minlength=len(data.classes))
    return ", ".join(f"{c} {n}" for c, n in zip(data.classes, numbers, strict=True))


def parts(data):
    """The sizes of the published training and test parts."""
    cut = split(data, by="part", test=["test"])
    return [f"{len(cut.train):,}", f"{len(cut.test):,}"]


def test_breast_cancer():
    data = load("breast_cancer")
    table = data.inputs["table"]
    assert table.shape == (569, 30) and np.isfinite(table).all() and (table >= 0).all()
    assert counts(data) == "benign 357, malignant 212"
    assert len(data.columns) == 30 and data.columns[0] == "mean radius"
    on_card(data, table.shape, "benign (0) 357, malignant (1) 212")
    # Malignant nuclei are larger.
    assert table[data.label == 1, 0].mean() > 1.3 * table[data.label == 0, 0].mean()


def test_optdigits():
    data = load("optdigits")
    image = data.inputs["image"]
    assert image.shape == (1797, 8, 8) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1 and (image * 16 % 1 == 0).all()
    numbers = np.bincount(data.label).tolist()
    assert numbers == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == list("0123456789")
    on_card(data, image.shape, str(numbers)[1:-1])


def test_mnist5k():
    data = load("mnist5k")
    image = data.inputs["image"]
    assert image.shape == (5000, 28, 28) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1
    assert np.bincount(data.label).tolist() == [500] * 10
    # Ink stands in the middle: the picture is neither transposed nor cut at the wrong column.
    assert image[:, 4:24, 4:24].sum() / image.sum() > 0.95
    ones = image[data.label == 1].mean(0)
    assert ones.sum(0).max() > 2 * ones.sum(1).max()  # a one stands upright
    on_card(data, image.shape, "500 each")


def test_spoken_digits():
    data = load("spoken_digits")
    sounds = data.inputs["sound"]
    lengths = [len(sound) for sound in sounds]
    assert len(sounds) == 3000 and {sound.shape[1] for sound in sounds} == {13}
    assert (min(lengths), np.median(lengths), max(lengths)) == (6, 17, 92)
    assert all(np.isfinite(sound).all() for sound in sounds)
    assert np.bincount(data.label).tolist() == [300] * 10
    on_card(data, "3,000", "(T, 13)", "6 to 92", "middle 17", "300 each")


def test_reviews():
    data = load("reviews")
    rating = data.groups["rating"]
    assert len(data) == 23_320 and (np.sign(rating) == 2 * data.label - 1).all()
    assert rating.min() >= -4 and rating.max() <= 4
    assert not any("&amp;" in text or "&quot;" in text for text in data.inputs["text"])
    on_card(data, "23,320", counts(data))
    seen = {}
    for domain in ("movie", "amazon", "nyt", "tweets"):
        one = load("reviews", domain=domain)
        assert set(one.groups["domain"]) == {domain}
        seen[domain] = len(set(one.groups["document"]))
        on_card(one, "{} and {}".format(*np.bincount(one.label)))
    on_card(data, f"{seen['amazon']} reviews and {seen['nyt']} articles")
    assert seen["movie"] == 10_568  # each its own
    cut = split(data, by="document", test=0.2, val=0.1)
    documents = [set(part.groups["document"]) for part in cut]
    assert not documents[0] & documents[2] and not documents[0] & documents[1]
    held_out = split(data, by="domain", test=["tweets"])
    assert set(held_out.test.groups["domain"]) == {"tweets"} and len(held_out.test) == 4196
    with pytest.raises(ValueError, match=r"domain is one of movie, amazon.*, got 'books'"):
        load("reviews", domain="books")


@pytest.mark.parametrize(
    ("name", "total", "both", "words"),
    [("newsgroups", 18_821, 7, (1, 161, 11_924)), ("reuters8", 7_674, 4, (5, 64, 964))],
)
def test_newsgroups_and_reuters8(name, total, both, words):
    data = load(name)
    texts = data.inputs["text"]
    assert len(data) == total and set("".join(texts)) == set(" abcdefghijklmnopqrstuvwxyz")
    numbers = [len(text.split()) for text in texts]
    assert (min(numbers), np.median(numbers), max(numbers)) == words
    cut = split(data, by="part", test=["test"])
    assert len(set(cut.train.inputs["text"]) & set(cut.test.inputs["text"])) == both
    on_card(data, f"{total:,}", f"{words[2]:,}", f"{both} texts", *parts(data))
    two = load(name, topics=data.classes[1::-1])
    assert two.classes == data.classes[1::-1] and set(two.label) == {0, 1}
    assert (two.label == 0).sum() == (data.label == 1).sum()
    with pytest.raises(ValueError, match=r"topics has \['sport'\]; "):
        load(name, topics=["sport"])


def test_newsgroups_has_twenty_and_reuters_eight():
    news, reuters = load("newsgroups"), load("reuters8")
    assert len(news.classes) == 20 and np.bincount(news.label).min() == 628
    assert np.bincount(news.label).max() == 999
    assert "misc.forsale" in news.classes and "talk.religion.misc" in news.classes
    on_card(reuters, counts(reuters))
    religion = news.label == news.classes.index("soc.religion.christian")
    assert np.mean(["god" in t.split() for t in news.subset(religion).inputs["text"]]) > 0.5


def test_shapes_vqa():
    data = load("shapes_vqa")
    images, texts = data.inputs["image"], data.inputs["text"]
    assert images.shape == (48_248, 64, 64, 3) and len(set(texts)) == 107
    assert images[:2000].min() >= 0 and images[:2000].max() <= 1
    cut = split(data, by="part", test=["test"])
    pictures = [set(part.groups["picture"]) for part in cut]
    assert [len(p) for p in pictures] == [4000, 0, 1000] and not pictures[0] & pictures[2]
    # Pictures and questions belong together: what is asked for by its colour has that colour.
    asked = [i for i, t in enumerate(texts[:2000]) if t == "what shape is the red shape?"]
    asked += [i for i, t in enumerate(texts) if "what is the red shape" in t][:50]
    for i in asked:
        colours = images[i].reshape(-1, 3)
        assert ((colours[:, 0] > 0.8) & (colours[:, 1:] < 0.3).all(1)).sum() > 20
    on_card(data, images.shape, "107 distinct", counts(data), *parts(data))


def test_drug_reviews():
    data = load("drug_reviews")
    table = data.inputs["table"]
    assert table.shape == (979, 3) and data.columns == ["found useful by", "year", "month"]
    assert table.min(0).tolist() == [0, 2008, 1] and table.max(0).tolist() == [239, 2017, 12]
    assert not any("&#039;" in text or text.startswith('"') for text in data.inputs["text"])
    assert np.bincount(data.label).tolist() == [256, 90, 633]
    conditions = data.groups["condition"]
    assert (conditions == "").sum() == 14 and not any("span" in c for c in conditions)
    facts = [f"negative {256}", f"neutral {90}", f"positive {633}", "(0 to 239)", *parts(data)]
    facts.append(f"`drug` ({len(set(data.groups['drug']))})")
    on_card(data, table.shape, f"({len(set(conditions)) - 1}, empty for 14)", *facts)


def test_emoji():
    styles = ["noto", "twemoji", "openmoji", "lineart"]
    data = load("emoji", styles=styles)
    images = data.inputs["image"]
    assert images.shape == (4 * 1327, 72, 72, 3)
    one = load("emoji")
    on_card(one, one.inputs["image"].shape, counts(one), "`subcategory` (96)")
    assert len(set(data.groups["subcategory"])) == 96 and len(set(data.groups["concept"])) == 1327
    cat = data.inputs["text"].index("cat face")
    assert data.groups["character"][cat] == "\N{CAT FACE}" and data.label[cat] == 2
    corners = np.asarray(images)[:, 0, 0]
    assert (corners == 1).all(1).mean() > 0.8  # white behind
    grey = np.asarray(load("emoji", styles=["lineart"]).inputs["image"])
    assert np.abs(grey - grey.mean(-1, keepdims=True)).mean() < 0.01  # lines have no colour
    assert data.groups["style"][::1327].tolist() == styles
    assert data.groups["style"][1326::1327].tolist() == styles
    colours = np.asarray(images.take(np.flatnonzero(data.groups["style"] == "openmoji")))
    assert np.abs(colours - colours.mean(-1, keepdims=True)).mean() > 0.02
    # The same concept looks alike in two styles, more than two concepts do.
    noto, twemoji = (np.asarray(images[k * 1327 : k * 1327 + 300]) for k in range(2))
    own = np.abs(noto - twemoji).mean()
    assert own < 0.8 * np.abs(noto - np.roll(twemoji, 1, 0)).mean()
    clear = load("emoji", background=None).inputs["image"]
    assert clear.shape == (1327, 72, 72, 4) and np.asarray(clear)[:, 0, 0, 3].mean() < 0.2
    by_style = split(data, by="style", test=["lineart"])
    assert set(by_style.train.groups["style"]) == set(styles[:3])
    by_concept = split(data, by="concept", test=0.25)
    assert len(by_concept.test) == 4 * 332
    assert not set(by_concept.test.groups["concept"]) & set(by_concept.train.groups["concept"])


def test_emoji_names():
    read = load("emoji", language="de").inputs["text"]
    path = unpack.bundle("emoji") / "emoji.npz"
    names = {k: store.read(path, f"name_{k}")[0] for k in datasets.LANGUAGES}
    assert read == names["de"] != names["en"]
    assert len(names) == 14 and ", ".join(names).replace(", zh", " or zh") in card("emoji")
    assert all(len(set(n)) == 1327 and "_" not in "".join(n) for n in names.values())
    dog = names["en"].index("dog face")
    assert [names[language][dog] for language in ("de", "fr", "zh")] == [
        "hundegesicht", "tête de chien", "狗脸",
    ]  # fmt: skip
    for wrong in ({"language": "la"}, {"styles": "noto"}, {"styles": ["apple"]}, {"styles": []}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .* of .*, got "):
            load("emoji", **wrong)


def test_voices():
    data = voices()
    sounds = data.inputs["sound"]
    assert len(data) == 120 and data.rate == 22_050 and data.simulated
    assert data.classes[3] == "three" and np.bincount(data.label).tolist() == [12] * 10
    assert all(s.dtype == np.float32 and 0.1 < np.abs(s).max() <= 1 for s in sounds)
    assert all(0.2 < len(s) / data.rate < 0.7 for s in sounds)
    cut = split(data, by="voice", test=0.25)
    assert len(set(cut.test.groups["voice"])) == 3
    assert not set(cut.test.groups["voice"]) & set(cut.train.groups["voice"])
    on_card(data, "120 sounds", "22,050", "12 voices", "104 voices")
    assert len(mm.data.known_voices()) == 104
    slow = voices(["one"], ["Lee"], speeds=(100, 300), pitches=(20, 80), rate=8_000)
    assert len(slow) == 4 and slow.rate == 8_000
    lengths = [len(s) for s in slow.inputs["sound"]]
    assert min(lengths[:2]) > 1.5 * max(lengths[2:])
    assert slow.groups["speed"].tolist() == [100, 100, 300, 300]
    assert slow.groups["pitch"].tolist() == [20, 80, 20, 80]

    def tone(sound):
        """The frequency at which a sound repeats itself, between 60 and 400 a second."""
        again = np.correlate(sound, sound, "full")[len(sound) - 1 :]
        return 8_000 / (20 + again[20:133].argmax())

    low, high, *_ = [
        tone(sound[len(sound) // 3 : len(sound) // 2]) for sound in slow.inputs["sound"]
    ]
    assert high > 1.2 * low


def test_voices_speak_other_languages():
    german, english = (voices(["Vogel"], ["Lee"], language=k) for k in ("de", "en-us"))
    assert len(german.inputs["sound"][0]) != len(english.inputs["sound"][0])
    with pytest.raises(mm.data.DataError, match=r"has no voice 'xx\+Lee'"):
        voices(["Vogel"], ["Lee"], language="xx")


def test_voices_are_the_same_bytes_each_time(tmp_path, monkeypatch):
    words = ["one", "whisper", "one more"]
    before = voices(words).inputs["sound"]
    # Made anew in another cache, whose path is long and not ASCII.
    other = tmp_path / ("ünüsual " * 15) / ("long" * 30)
    other.mkdir(parents=True)
    for bundle in store.cache().glob("espeak-*"):
        shutil.copytree(bundle, other / bundle.name)
    monkeypatch.setenv("MMLEARN_CACHE", str(other))
    again = voices(words).inputs["sound"]
    assert list(other.glob("voices-*"))
    assert all(np.array_equal(a, b) for a, b in zip(before, again, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": []}, "at least one text"),
        ({"words": ["one", " "]}, "no empty one"),
        ({"words": ["one", "one"]}, "stands twice"),
        ({"variants": ["Nobody"]}, "no voice is called Nobody; there are: Alex, "),
        ({"speeds": [1000]}, r"speeds are from 80 to 450, got \(1000,\)"),
        ({"pitches": [-1]}, "pitches are from 0 to 99, got"),
        ({"rate": 10}, "rate is from 1,000 .*, got 10"),
    ],
)
def test_voices_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        voices(**options)


def test_world():
    data = load("world")
    assert len(data) == 3_000 and data.classes == ["no", "yes"] and list(data.groups) == ["bits"]
    assert {x.shape for x in data.inputs.values()} == {(3_000, 8)}
    kinds = ", ".join(mm.data.worlds.INFORMATION)
    on_card(data, *(f"`{name}`" for name in data.inputs), "3,000", "vectors of 8 numbers", kinds)


def test_scenes():
    data = load("scenes")
    assert data.simulated and data.inputs["image"].shape == (500, 64, 64, 3)
    on_card(data, "(500, 64, 64, 3)", *(f"`{name}`" for name in [*data.inputs, *data.groups]))
    on_card(data, ", ".join(data.classes))


def test_load_takes_less_than_a_second():
    import time

    for name in names():
        if mm.data.ENTRIES[name].load and not mm.data.ENTRIES[name].full:
            load(name)  # libraries are imported once
            begin = time.process_time()
            load(name)
            assert time.process_time() - begin < 1, name
