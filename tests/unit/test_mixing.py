"""Training sets: right pictures, right labels, in a folder that can be moved."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from snakemake.iocontainers import InputFiles

import mix as script
from cia.errors import UserError
from cia.files import digest_file
from cia.images import check_image, load_image, save_png
from cia.mixing.mixes import (
    _is_plain_png,
    _is_read_otherwise,
    asked_synthetic,
    choose_entries,
    digest_entries,
    labeled,
    require_disjoint,
    require_from_train,
    summarize_mix,
    write_mix,
)
from cia.quiet_ultralytics import import_ultralytics
from cia.tables import read_table, write_table

NAMES = ["a_b.c d", "IMG_0001", "Größe ü", "x.y.z", "plain"]
PLAIN = {"synthetic": 0, "unit": "ratio", "keep_training_size": False, "duplicate": 1}


@pytest.fixture
def sources(tmp_path):
    """Real splits and a synthetic set whose names collide, with odd characters and suffixes."""

    def make(folder: str, names: list[str], suffix: str, value: int) -> pd.DataFrame:
        rows = []
        for index, name in enumerate(names):
            path = tmp_path / folder / "images" / f"{name}{suffix}"
            pixels = np.full((64, 64, 3), 3 * index + value, np.uint8)
            pixels[16:48, 16:48] += 120
            path.parent.mkdir(parents=True, exist_ok=True)
            save_png(path.with_suffix(".png"), pixels)
            path.with_suffix(".png").rename(path)
            rows.append({"id": name, "image": str(path), "label": "0 0.5 0.5 0.5 0.5"})
        rows[-1]["label"] = ""
        return pd.DataFrame(rows)

    splits = {
        name: make(f"images/{name}", NAMES, suffix, value)
        for name, suffix, value in (
            ("train", ".PNG", 10),
            ("val", ".png", 40),
            ("test", ".png", 70),
        )
    }
    return splits, make("synthetic", [*NAMES, *(f"s{n}" for n in range(7))], ".png", 90)


def counts(entries: pd.DataFrame) -> dict:
    return entries[entries["split"] == "train"]["origin"].value_counts().to_dict()


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, {"real": 5}),
        ({"duplicate": 3}, {"real": 15}),
        ({"synthetic": 1.0}, {"real": 5, "synthetic": 5}),
        ({"synthetic": 2.0}, {"real": 5, "synthetic": 10}),
        ({"synthetic": 3, "unit": "count"}, {"real": 5, "synthetic": 3}),
        ({"synthetic": 99, "unit": "count"}, {"real": 5, "synthetic": 12}),
        ({"synthetic": 0.4, "keep_training_size": True}, {"real": 3, "synthetic": 2}),
        ({"synthetic": 1.0, "keep_training_size": True}, {"synthetic": 5}),
        (
            {"synthetic": 0.4, "keep_training_size": True, "duplicate": 2},
            {"real": 8, "synthetic": 2},
        ),
    ],
)
def test_numbers_are_as_asked(sources, change, expected):
    assert asked_synthetic({**PLAIN, "synthetic": 0.575}, 100) == 58  # a float product has 57
    assert counts(choose_entries(*sources, {**PLAIN, **change}, seed=0)) == expected


def test_the_training_size_is_kept_or_refused(sources):
    settings = {**PLAIN, "synthetic": 2.0, "keep_training_size": True}
    with pytest.raises(UserError, match="replace 10 of 5"):
        choose_entries(*sources, settings, seed=0)


def test_a_split_without_labeled_pictures_is_an_error_that_names_it(sources):
    splits, synthetic = sources
    with pytest.raises(UserError, match="The val split"):
        choose_entries({**splits, "val": splits["val"].head(0)}, synthetic, PLAIN, seed=0)


def test_synthetic_images_without_a_set_of_them_are_an_error(sources):
    with pytest.raises(UserError, match="needs a generator and a selection"):
        choose_entries(sources[0], None, {**PLAIN, "synthetic": 1.0}, seed=0)


def test_the_summary_counts_objects_by_class_and_origin(sources):
    settings = {**PLAIN, "synthetic": 3, "unit": "count", "duplicate": 2}
    entries = choose_entries(*sources, settings, seed=0)
    entries.loc[0, "label"] += "\n1 0.2 0.2 0.1 0.1"
    found = summarize_mix(entries, settings, 3, "detection", ["thing", "other", "unseen"])
    assert found["classes"] == {
        "thing": {"real": 8, "synthetic": 3},
        "other": {"real": 1, "synthetic": 0},
        "unseen": {"real": 0, "synthetic": 0},
    }
    assert (found["train_real"], found["train_synthetic"], found["backgrounds"]) == (10, 3, 2)
    labels = entries.assign(label=["0", "1"] * (len(entries) // 2) + ["1"] * (len(entries) % 2))
    found = summarize_mix(labels, settings, 3, "classification", ["a", "b"])
    assert sum(count["real"] for count in found["classes"].values()) == 10
    assert "backgrounds" not in found


def test_the_best_synthetic_images_come_first(sources):
    entries = choose_entries(*sources, {**PLAIN, "synthetic": 3, "unit": "count"}, seed=0)
    taken = entries[entries["origin"] == "synthetic"]["id"].tolist()
    assert taken == sources[1]["id"].tolist()[:3]


def test_what_makes_room_depends_on_the_seed_alone(sources):
    settings = {**PLAIN, "synthetic": 0.4, "keep_training_size": True}
    kept = "split == 'train' and origin == 'real'"
    left = [
        set(choose_entries(*sources, settings, seed).query(kept)["id"])
        for seed in (1, 1, 2, 3, 4, 5)
    ]
    assert left[0] == left[1]
    assert any(other != left[0] for other in left[2:])


def test_val_and_test_stay_real(sources):
    entries = choose_entries(*sources, {**PLAIN, "synthetic": 2.0}, seed=0)
    assert set(entries[entries["split"] != "train"]["origin"]) == {"real"}


def test_pictures_without_label_are_left_out_and_empty_labels_stay():
    manifest = pd.DataFrame({"id": ["a", "b", "c"], "image": ["a.png", "b.png", "c.png"]})
    labels = pd.DataFrame({"id": ["c", "a"], "label": ["", "0 0.5 0.5 0.1 0.1"]})
    assert labeled(manifest, labels)["id"].tolist() == ["a", "c"]


def test_the_folder_holds_every_entry_with_its_own_label(sources, tmp_path):
    entries = choose_entries(*sources, {**PLAIN, "synthetic": 2.0, "duplicate": 2}, seed=0)
    folder = tmp_path / "mix"
    write_mix(folder, entries, "detection", ["thing"])
    table = read_table(folder / "dataset.csv", "mixed")
    assert len(table) == len(entries)
    for row, entry in zip(table.itertuples(), entries.itertuples(), strict=True):
        with open(entry.image, "rb") as source:
            assert (folder / row.image).read_bytes() == source.read()
        assert (folder / row.label).read_text().strip() == entry.label
    listed = (folder / "train.txt").read_text().splitlines()
    assert listed == [f"./{row.image}" for row in table.itertuples() if row.split == "train"]
    for path in folder.rglob("*.*"):
        if path.suffix in (".yaml", ".txt", ".csv"):
            assert str(tmp_path) not in path.read_text()


def test_pictures_are_hard_links_and_follow_a_source_that_was_replaced(sources, tmp_path):
    splits, _ = sources
    entries = choose_entries(splits, None, PLAIN, seed=0)
    write_mix(tmp_path / "mix", entries, "detection", ["thing"])
    source = Path(splits["val"]["image"][4])
    copy = tmp_path / "mix/images/val/real" / source.name
    assert copy.samefile(source)
    before = copy.read_bytes()
    save_png(source, np.full((64, 64, 3), 7, np.uint8))  # a new file in the old one's place
    assert copy.read_bytes() == before
    write_mix(tmp_path / "mix", entries, "detection", ["thing"])
    assert copy.samefile(source)


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"""


def save_turned_by_xmp(image: Image.Image, folder: Path) -> None:
    """Pictures whose orientation stands in XMP alone, as some editors write it, in every place."""
    image.save(folder / "xmp_webp.webp", xmp=XMP, lossless=True)
    tags = ImageFileDirectory_v2()
    tags[700] = XMP
    image.save(folder / "xmp_tif.tif", tiffinfo=tags)
    image.save(folder / "xmp_jpg.jpg", xmp=XMP, quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "xmp and exif.jpg", xmp=XMP, exif=exif, quality=95)
    for zipped in (False, True):
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=zipped)
        path = folder / f"xmp {'zipped' if zipped else 'plain'}.png"
        image.save(path, pnginfo=text)
        content = path.read_bytes()
        start, pixels, end = (content.index(kind) - 4 for kind in (b"iTXt", b"IDAT", b"IEND"))
        late = content[:start] + content[pixels:end] + content[start:pixels] + content[end:]
        path.with_stem(f"{path.stem} after the pixels").write_bytes(late)


def test_a_training_set_of_symlinked_pictures_holds_real_files_that_can_be_moved(sources, tmp_path):
    """Pictures as DVC, git-annex and `ln -s` leave them: links to files that may be read only."""
    splits, _ = sources
    expected, objects = [], tmp_path / "objects"
    objects.mkdir()
    for number, image in enumerate(splits["train"]["image"]):
        path = Path(image)
        expected.append(path.read_bytes())
        stored = path.rename(objects / f"{number}.png")
        stored.chmod(0o444)
        path.symlink_to(stored if number % 2 else Path("../../../objects", stored.name))
    chained = Path(splits["train"]["image"][0])
    chained.rename(chained.with_name("first"))
    chained.symlink_to("first")
    entries = choose_entries(splits, None, PLAIN, seed=0)
    for task in ("detection", "classification"):  # the second one in the first one's place
        write_mix(tmp_path / "mix", entries, task, ["thing"])
    shutil.move(tmp_path / "mix", tmp_path / "moved")
    shutil.rmtree(objects)
    files = [tmp_path / "moved/images/train/real" / Path(p).name for p in splits["train"]["image"]]
    assert not any(file.is_symlink() for file in files)
    assert [file.read_bytes() for file in files] == expected


def odd_pictures(folder: Path) -> list[Path]:
    """Files of kinds that scan accepts, several of which OpenCV reads in a way of its own."""
    folder.mkdir(parents=True)
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24], pixels[24:, :20] = (200, 60, 30), (20, 90, 220)
    image = Image.fromarray(pixels)
    gray = np.asarray(image.convert("L"))
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, 40:] = 0
    see_through = Image.fromarray(np.dstack([pixels, alpha]))
    turned = Image.Exif()
    turned[0x0112] = 6
    for suffix in ("jpg", "png", "webp", "tif"):
        image.save(folder / f"turned_{suffix}.{suffix}", exif=turned)
    for suffix in ("png", "webp", "tif"):
        see_through.save(folder / f"see-through_{suffix}.{suffix}")
    image.save(folder / "trailing bytes.jpg", quality=95)
    with open(folder / "trailing bytes.jpg", "ab") as file:
        file.write(b"\0" * 64)
    image.convert("P").save(folder / "palette.PNG")
    image.convert("CMYK").save(folder / "cmyk.tif")
    Image.fromarray(gray.astype(np.uint16) * 257).save(folder / "gray16.png")
    Image.fromarray(gray.astype(np.float32) / 255).save(folder / "float.tif")
    image.save(folder / "stack.tif", save_all=True, append_images=[image, image])
    image.convert("L").save(folder / "turned gray.tif", exif=turned)
    image.convert("LAB").save(folder / "lab.tif")
    image.save(folder / "lzma.tif", compression="lzma")
    save_turned_by_xmp(image, folder)
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "mode, transparent, plain",
    [
        ("RGB", None, True),
        ("RGB", (1, 2, 3), False),
        ("RGBA", None, False),
        ("L", None, False),
        ("P", None, False),
        ("I;16", None, False),
    ],
)
def test_only_pngs_of_opaque_rgb_need_no_closer_look(tmp_path, mode, transparent, plain):
    path, text = tmp_path / "a.png", PngInfo()
    text.add_text("prompt", "a chunk before the pixels " * 10)
    options = {} if transparent is None else {"transparency": transparent}
    Image.new(mode, (8, 8)).save(path, pnginfo=text, **options)
    content = path.read_bytes()
    assert _is_plain_png(content) is plain
    assert not _is_plain_png(content[: content.index(b"IDAT")])
    assert not plain or not _is_read_otherwise(str(path))
    assert transparent is None or _is_read_otherwise(str(path))


def test_a_picture_that_is_gone_is_named(sources, tmp_path):
    entries = choose_entries(*sources, PLAIN, 0)
    Path(entries["image"][0]).unlink()
    with pytest.raises(UserError, match="is gone since the images were checked"):
        write_mix(tmp_path / "mix", entries, "detection", ["thing"])


def test_the_digest_of_a_mix_sees_pictures_labels_and_places(sources):
    entries = choose_entries(*sources, {**PLAIN, "synthetic": 1.0}, 0)
    digests = pd.Series([f"of {image}" for image in entries["image"]], index=entries["image"])
    other = digests.copy()
    other.iloc[-1] = "new"
    seen = {
        digest_entries(entries, digests),
        digest_entries(entries, other),
        digest_entries(entries.assign(label="1"), digests),
        digest_entries(entries.assign(split="train"), digests),
        digest_entries(entries.assign(origin="real"), digests),
    }
    assert len(seen) == 5
    assert digest_entries(entries, digests) == digest_entries(entries.copy(), digests)


def test_ultralytics_sees_the_pixels_that_we_see_and_leaves_sources_alone(tmp_path):
    """Turned, transparent, 16- and 32-bit, stacked, padded: same pixels, no picture lost."""
    import_ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    paths = odd_pictures(tmp_path / "odd")
    before = [path.read_bytes() for path in paths]
    rows = [{"id": p.stem, "image": str(p), "label": "0 0.5 0.5 0.2 0.2"} for p in paths]
    splits = dict.fromkeys(("train", "val", "test"), pd.DataFrame(rows))
    entries = choose_entries(splits, None, PLAIN, seed=0)
    write_mix(tmp_path / "mix", entries, "detection", ["thing"])
    data = check_det_dataset(str(tmp_path / "mix/data.yaml"))
    dataset = build_yolo_dataset(get_cfg(overrides={"imgsz": 64}), data["train"], 4, data)
    assert [Path(file).stem for file in dataset.im_files] == [path.stem for path in paths]
    for index, path in enumerate(paths):
        seen = dataset.load_image(index)[0][..., ::-1]
        np.testing.assert_allclose(seen, load_image(path), atol=1, err_msg=path.name)
        assert dataset.labels[index]["shape"] == seen.shape[:2] == check_image(path)[::-1]
    assert [path.read_bytes() for path in paths] == before


def test_files_of_an_earlier_mix_are_gone(sources, tmp_path):
    folder = tmp_path / "mix"
    settings = {**PLAIN, "synthetic": 2.0}
    write_mix(folder, choose_entries(*sources, settings, 0), "detection", ["thing"])
    write_mix(folder, choose_entries(*sources, PLAIN, 0), "detection", ["thing"])
    assert not list(folder.rglob("*/synthetic/*"))
    numbers = choose_entries(*sources, PLAIN, 0).assign(label="0")
    write_mix(folder, numbers, "classification", ["thing"])
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.csv", "images"]


def test_ultralytics_reads_the_folder_where_it_was_moved_to(sources, tmp_path, monkeypatch):
    """No background that was labeled, no duplicate lost, from any folder, under any name."""
    import_ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    entries = choose_entries(*sources, {**PLAIN, "synthetic": 1.0, "duplicate": 2}, seed=0)
    write_mix(tmp_path / "mix", entries, "detection", ["thing"])
    moved = tmp_path / "images" / "moved here"
    shutil.move(tmp_path / "mix", moved)
    shutil.rmtree(tmp_path / "synthetic")
    monkeypatch.chdir(tmp_path / "images")
    data = check_det_dataset(str(moved / "data.yaml"))
    dataset = build_yolo_dataset(get_cfg(overrides={"imgsz": 64}), data["train"], 4, data)
    with_boxes = sum(len(label["cls"]) > 0 for label in dataset.labels)
    train = entries[entries["split"] == "train"]
    assert len(dataset.labels) == len(train) == 15
    assert with_boxes == (train["label"] != "").sum() == 13
    assert data["names"] == {0: "thing"}


def manifests(**digests: list[str]) -> dict[str, pd.DataFrame]:
    return {
        split: pd.DataFrame(
            {
                "id": [f"{split}{n}" for n in range(len(values))],
                "image": [f"{split}/{n}.png" for n in range(len(values))],
                "sha256": values,
            }
        )
        for split, values in digests.items()
    }


def ancestors(*pairs: tuple[str, str]) -> pd.DataFrame:
    """One ancestor, by name and digest, of each of the images 0, 1, ..."""
    rows = [(str(number), *pair) for number, pair in enumerate(pairs)]
    return pd.DataFrame(rows, columns=["id", "source", "source_sha256"])


def test_a_picture_in_two_splits_is_an_error_that_names_both():
    found = manifests(train=["1", "2"], val=["3"], test=["4", "2"])
    with pytest.raises(UserError, match="train and test: train/1.png and test/1.png"):
        require_disjoint(found)


def test_synthetic_images_of_pictures_outside_train_are_refused():
    train = manifests(train=["1"])["train"]
    synthetic = pd.DataFrame({"id": ["0", "1"]})
    require_from_train(synthetic, ancestors(("train0", "1"), ("train0", "1")), train)
    with pytest.raises(UserError, match="not in the training split: val0"):
        require_from_train(synthetic, ancestors(("train0", "1"), ("val0", "2")), train)


def test_a_picture_of_val_is_refused_though_train_has_one_of_its_name():
    train = manifests(train=["1"])["train"]
    with pytest.raises(UserError, match="not in the training split: train0"):
        require_from_train(pd.DataFrame({"id": ["0"]}), ancestors(("train0", "2")), train)


def test_a_synthetic_image_without_known_ancestor_is_refused():
    train = manifests(train=["1"])["train"]
    synthetic = pd.DataFrame({"id": ["0", "9"]})
    with pytest.raises(UserError, match="1 synthetic images descend from no known picture: 9"):
        require_from_train(synthetic, ancestors(("train0", "1")), train)


def test_the_script_looks_at_every_ancestor_of_a_selected_image(tmp_path, monkeypatch, caplog):
    """A recombined image descends from several pictures, and one of another split is enough."""
    monkeypatch.chdir(tmp_path)
    inputs = {}

    def table(name, rows, kind):
        inputs[name] = f"{name}.csv"
        write_table(inputs[name], rows, kind)

    def pictures(names, value):
        for number, name in enumerate(names):
            save_png(f"{name}.png", np.full((8, 8, 3), value + number, dtype=np.uint8))
        rest = {"width": 8, "height": 8, "caption": ""}
        return [
            {"id": name, "image": f"{name}.png", "sha256": digest_file(f"{name}.png"), **rest}
            for name in names
        ]

    def labels(names):
        return [{"id": name, "label": "0"} for name in names]

    for number, split in enumerate(("train", "val", "test")):
        names = [f"{split}0", f"{split}1"]
        table(f"{split}_manifest", pictures(names, 10 * number), "manifest")
        table(f"{split}_labels", labels(names), "labels")
    made = pictures(["s0", "s1"], 100)
    table("synthetic_manifest", made, "manifest")
    table("synthetic_labels", labels(["s0", "s1"]), "labels")
    table("selected", [row | {"score": 0.0, "rank": 1} for row in made[:1]], "selected")
    ancestors = [("s0", "train0"), ("s0", "train1"), ("s1", "val0")]

    def write_sources():
        rows = [(one, other, digest_file(f"{other}.png")) for one, other in ancestors]
        columns = ["id", "source", "source_sha256"]
        table("sources", pd.DataFrame(rows, columns=columns), "sources")

    write_sources()
    settings = {"synthetic": 1, "unit": "count", "keep_training_size": False, "duplicate": 1}
    job = SimpleNamespace(
        input=InputFiles(fromdict=inputs),
        output=SimpleNamespace(dataset="mix/dataset.csv", summary="mix/mix.yaml"),
        params=SimpleNamespace(
            task="classification", classes=["a", "b"], settings=settings, seed=0
        ),
        wildcards=SimpleNamespace(mix="mine"),
    )
    script.main(job)  # s1, which is not selected, may come from anywhere
    assert "Classes with few training examples, or none: b 0, a 3" in caplog.text
    entries = read_table("mix/dataset.csv", "mixed")
    assert entries.loc[entries["origin"] == "synthetic", "id"].tolist() == ["s0"]
    ancestors[1] = ("s0", "val0")
    write_sources()
    with pytest.raises(UserError, match="not in the training split: val0"):
        script.main(job)
    del inputs["selected"]
    job.input = InputFiles(fromdict=inputs)
    with pytest.raises(UserError, match="^mixes.mine: this mix takes synthetic images"):
        script.main(job)
