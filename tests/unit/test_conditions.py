"""Condition maps: right colors, right size, everything that is there, and made once."""

import json
import logging
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage import data

import condition as script
from cia.catalog import CONDITIONS
from cia.conditions.ade20k import CLASSES, indices_of, paint, palette
from cia.conditions.extractors import make_extractor
from cia.conditions.maps import extract_maps
from cia.errors import UserError
from cia.images import load_image, resize_image
from cia.tables import read_table, write_table

BLACK = [0, 0, 0]


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


@pytest.fixture(scope="module")
def assets():
    from cia.quiet_ultralytics import import_ultralytics

    return Path(import_ultralytics().__file__).parent / "assets"


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


# settings


def test_every_extractor_has_defaults_and_names_what_it_does_not_know():
    for name in CONDITIONS:
        make_extractor(name, {})
        with pytest.raises(UserError, match=f"{name}: unknown setting 'nonsense'"):
            make_extractor(name, {"nonsense": 1})
    with pytest.raises(UserError, match="did you mean 'max_faces'"):
        make_extractor("mediapipe_face", {"max_face": 1})
    with pytest.raises(UserError, match="'hed' is none of canny, openpose"):
        make_extractor("hed", {})


# canny


def test_canny_is_opencv_at_the_maps_size(astronaut):
    [(edges, found)] = make_extractor("canny", {"low": 50, "high": 150}).extract(
        [astronaut], [(96, 64)]
    )
    gray = cv2.cvtColor(resize_image(astronaut, (96, 64)), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(edges, cv2.cvtColor(cv2.Canny(gray, 50, 150), cv2.COLOR_GRAY2RGB))
    assert found == 1 and set(np.unique(edges)) == {0, 255}


def test_canny_finds_nothing_where_there_is_nothing():
    flat = np.full((32, 32, 3), 90, np.uint8)
    noise = np.random.default_rng(0).integers(88, 92, (32, 32, 3)).astype(np.uint8)
    for settings in ({}, {"thresholds": "auto"}):
        for edges, found in make_extractor("canny", settings).extract(
            [flat, noise], [(32, 32)] * 2
        ):
            assert found == 0 and not edges.any()


@pytest.mark.parametrize("contrast", [0.15, 1.0])
def test_automatic_thresholds_follow_the_contrast(contrast):
    disk = np.zeros((128, 128), np.uint8)
    cv2.circle(disk, (64, 64), 40, 255, -1, cv2.LINE_AA)
    picture = np.repeat((disk * contrast + 50 * contrast).clip(0, 255)[..., None], 3, axis=2)
    automatic = make_extractor("canny", {"thresholds": "auto"})
    [(edges, found)] = automatic.extract([picture.astype(np.uint8)], [(128, 128)])
    ys, xs = np.nonzero(edges[..., 0])
    assert found and np.abs(np.hypot(xs - 64, ys - 64) - 40).max() < 3
    assert len(xs) > 200  # the whole circle


# ADE20K


def test_palette_and_names_belong_together():
    """Anchors that ControlNet's segmentation models are prompted with in their model card."""
    assert palette().shape == (150, 3) and len(set(CLASSES)) == 150
    known = {"wall": (120, 120, 120), "building": (180, 120, 120), "sky": (6, 230, 230)}
    known |= {"tree": (4, 200, 3), "person": (150, 5, 61), "car": (0, 102, 200)}
    known |= {"bus": (255, 0, 245), "animal": (255, 0, 122), "flag": (92, 0, 255)}
    for name, color in known.items():
        assert tuple(palette()[CLASSES.index(name)]) == color


def test_paint_knows_every_class_and_black():
    classes = np.arange(-1, 150).reshape(1, -1)
    painted = paint(classes)
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal(painted[0, 1:], palette())
    assert painted[0, 0].tolist() == BLACK


def test_counterparts_by_name(assets):
    from ultralytics.utils import YAML

    coco = YAML.load(assets.parent / "cfg" / "datasets" / "coco.yaml")["names"]
    indices = indices_of(coco.values(), {})
    named = {
        name: CLASSES[index]
        for name, index in zip(coco.values(), indices, strict=True)
        if index >= 0
    }
    assert (
        named["person"] == "person" and named["dog"] == "animal" and named["tv"].startswith("tel")
    )
    assert named["motorcycle"] == "minibike" and named["couch"] == "sofa"
    lost = [name for name in coco.values() if name not in named]
    assert len(lost) == 23 and lost[:2] == ["train", "fire hydrant"]
    assert indices_of(["Dining-Table", "zzz"], {}).tolist() == [CLASSES.index("table"), -1]


def test_overrides_go_first_and_are_checked():
    assert indices_of(["cat", "zebra"], {"Cat": "person"}).tolist() == [12, CLASSES.index("animal")]
    with pytest.raises(UserError, match="model has no class 'dogg'; did you mean 'dog'"):
        indices_of(["dog"], {"dogg": "animal"})
    with pytest.raises(UserError, match="ADE20K has no class 'animals'; did you mean 'animal'"):
        indices_of(["dog"], {"dog": "animals"})


# segmentation


def segformer(folder, labels):
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        depths=[1, 1, 1, 1],
        decoder_hidden_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    network = SegformerForSemanticSegmentation(config)
    torch.nn.init.normal_(network.decode_head.classifier.weight, std=5.0)
    network.save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return network.eval()


@pytest.fixture(scope="module")
def ade_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segformer")
    return str(folder), segformer(folder, CLASSES)


def test_segmentation_equals_the_model_itself(ade_model, astronaut):
    from transformers import AutoImageProcessor

    folder, network = ade_model
    pictures = [astronaut[:300], astronaut[200:500]]
    maps = make_extractor("segmentation", {"model": folder}).extract(pictures, [(96, 64), (40, 56)])
    assert [one.shape for one, _ in maps] == [(64, 96, 3), (56, 40, 3)]
    processor = AutoImageProcessor.from_pretrained(folder)
    for picture, (painted, found) in zip(pictures, maps, strict=True):
        inputs = processor(images=Image.fromarray(picture), return_tensors="pt")
        with torch.no_grad():
            logits = network(**inputs).logits
        logits = torch.nn.functional.interpolate(
            logits, painted.shape[:2], mode="bilinear", align_corners=False
        )
        classes = logits.argmax(1)[0].numpy()
        assert (painted == palette()[classes]).all(axis=2).mean() > 0.99
        assert found == len(np.unique(painted.reshape(-1, 3), axis=0)) > 1


def test_a_segmentation_does_not_depend_on_its_batch(ade_model, astronaut):
    extractor = make_extractor("segmentation", {"model": ade_model[0]})
    pictures = [astronaut[:256], astronaut[256:]]
    together = extractor.extract(pictures, [(64, 64)] * 2)
    for picture, (one, _) in zip(pictures, together, strict=True):
        [(alone, _)] = extractor.extract([picture], [(64, 64)])
        assert (alone == one).all(axis=2).mean() > 0.99


def test_classes_of_another_set_are_matched_by_name(tmp_path, astronaut, caplog):
    segformer(tmp_path, ["dog", "sky", "warp core"])
    with caplog.at_level(logging.WARNING):
        [(painted, _)] = make_extractor("segmentation", {"model": str(tmp_path)}).extract(
            [astronaut], [(64, 64)]
        )
    colors = {tuple(color) for color in painted.reshape(-1, 3)}
    assert colors <= {(255, 0, 122), (6, 230, 230), (0, 0, 0)} and "warp core" in caplog.text
    settings = {"model": str(tmp_path), "classes": {"warp core": "fireplace"}}
    [(painted, _)] = make_extractor("segmentation", settings).extract([astronaut], [(64, 64)])
    assert painted.any(axis=2).all()


def test_a_model_without_known_classes_is_an_error(tmp_path, astronaut):
    segformer(tmp_path, ["a", "b"])
    with pytest.raises(UserError, match="no class of model(.|\n)*`classes`"):
        make_extractor("segmentation", {"model": str(tmp_path)}).extract([astronaut], [(64, 64)])


def small_swin():
    from transformers import SwinConfig

    return SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def upernet(folder):
    """Save the architecture of the default model."""
    from transformers import (
        ConvNextConfig,
        SegformerImageProcessor,
        UperNetConfig,
        UperNetForSemanticSegmentation,
    )

    backbone = ConvNextConfig(
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=16,
        auxiliary_in_channels=8,
        auxiliary_channels=8,
        num_labels=150,
    )
    UperNetForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


TINY = {"encoder_feedforward_dim": 16, "dim_feedforward": 16, "encoder_layers": 1}
TINY |= {"decoder_layers": 2, "num_attention_heads": 2, "num_queries": 20, "hidden_dim": 32}


def mask2former(folder):
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
    )

    config = Mask2FormerConfig(
        backbone_config=small_swin(), feature_size=32, mask_feature_size=32, num_labels=150, **TINY
    )
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    Mask2FormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def oneformer(folder):
    """Save a model whose processor has a tokenizer, since its task is a text."""
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        OneFormerProcessor,
    )

    classes = {str(i): {"name": name, "isthing": i % 2} for i, name in enumerate(CLASSES)}
    (folder / "classes.json").write_text(json.dumps(classes))
    (folder / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = OneFormerConfig(
        backbone_config=small_swin(),
        num_classes=150,
        num_labels=150,
        conv_dim=32,
        mask_dim=32,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=10,
        **TINY,
    )
    OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    images = OneFormerImageProcessor(
        size={"height": 64, "width": 64},
        class_info_file="classes.json",
        repo_path=str(folder),
        num_text=10,
    )
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    OneFormerProcessor(images, tokenizer).save_pretrained(folder)


@pytest.mark.parametrize("build", [upernet, mask2former, oneformer])
def test_other_architectures_go_the_same_way(tmp_path, astronaut, build):
    torch.manual_seed(0)
    build(tmp_path)
    extractor = make_extractor("segmentation", {"model": str(tmp_path)})
    for painted, found in extractor.extract([astronaut] * 2, [(64, 48)] * 2):
        assert painted.shape == (48, 64, 3) and found >= 1
        colors = {tuple(color) for color in painted.reshape(-1, 3)}
        assert colors <= {tuple(color) for color in palette()}


def test_an_unreachable_model_says_which_setting_to_change(monkeypatch, astronaut):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, settings in [
        ("segmentation", {"model": "nobody/nothing"}),
        ("openpose", {"model": "nobody/nothing"}),
        ("yolo_segmentation", {"model": "nobody/nothing", "filename": "x.pt"}),
        ("yolo_segmentation", {"model": "nothing.pt"}),
    ]:
        with pytest.raises(UserError, match=f"{name}(.|\n)*`model`(.|\n)*local folder"):
            make_extractor(name, settings).extract([astronaut], [(64, 64)])


# YOLO


@pytest.fixture(scope="module")
def yolo_model(tmp_path_factory, assets):
    """A segmentation network of random weights and COCO's classes."""
    from ultralytics import YOLO
    from ultralytics.utils import YAML

    torch.manual_seed(0)
    network = YOLO("yolov8n-seg.yaml", task="segment")
    coco = YAML.load(assets.parent / "cfg" / "datasets" / "coco.yaml")["names"]
    network.model.names = {int(index): name for index, name in coco.items()}
    path = tmp_path_factory.mktemp("yolo") / "tiny-seg.pt"
    network.save(path)
    return str(path)


def test_all_instances_are_drawn_the_smaller_on_top():
    from cia.conditions.yolo_segmentation import draw_instances

    masks = np.zeros((4, 20, 40), bool)
    masks[0, 5:10, 5:10] = True  # inside the next one
    masks[1, 0:20, 0:20] = True
    masks[2, 0:4, 30:40] = True
    masks[3, 16:20, 30:40] = True
    classes = np.array([CLASSES.index(name) for name in ("car", "person", "bus", "person")])
    painted = draw_instances(masks, classes, (80, 40))
    person, car, bus = (palette()[CLASSES.index(name)] for name in ("person", "car", "bus"))
    expected = np.zeros((40, 80, 3), np.uint8)
    expected[:, :40] = person
    expected[10:20, 10:20] = car
    expected[:8, 60:] = bus
    expected[32:, 60:] = person
    np.testing.assert_array_equal(painted, expected)  # no mixed color at any border


def test_yolo_draws_what_the_network_gives(yolo_model, assets):
    from ultralytics import YOLO

    picture = load_image(assets / "bus.jpg")
    settings = {"model": yolo_model, "confidence": 0.0, "image_size": 64}
    [(painted, found)] = make_extractor("yolo_segmentation", settings).extract(
        [picture], [(48, 64)]
    )
    assert painted.shape == (64, 48, 3)
    small = resize_image(picture, (48, 64))
    [result] = YOLO(yolo_model).predict(
        small[..., ::-1], imgsz=64, conf=0.0, retina_masks=True, verbose=False, device="cpu"
    )
    assert len(result) > 1
    names = [result.names[int(index)] for index in result.boxes.cls]
    drawn = indices_of(names, {}) >= 0
    assert found == drawn.sum() > 1
    covered = (result.masks.data.numpy()[drawn] > 0.5).any(axis=0)
    np.testing.assert_array_equal(painted.any(axis=2), covered)


def test_yolo_finds_nothing_at_full_confidence(yolo_model, astronaut):
    settings = {"model": yolo_model, "confidence": 1.0, "image_size": 64}
    [(painted, found)] = make_extractor("yolo_segmentation", settings).extract(
        [astronaut], [(64, 64)]
    )
    assert found == 0 and painted.shape == (64, 64, 3) and not painted.any()


def test_a_detector_is_no_segmentation_model(tmp_path, astronaut, assets):
    from ultralytics import YOLO

    YOLO("yolov8n.yaml").save(tmp_path / "detect.pt")
    extractor = make_extractor("yolo_segmentation", {"model": str(tmp_path / "detect.pt")})
    with pytest.raises(UserError, match="-seg"):
        extractor.extract([astronaut], [(64, 64)])


def test_yolo_weights_cannot_run_code(tmp_path, yolo_model, astronaut):
    checkpoint = torch.load(yolo_model, weights_only=False)
    checkpoint["train_args"] = Bomb(tmp_path / "bombed")
    torch.save(checkpoint, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="can't load model"):
        make_extractor("yolo_segmentation", {"model": str(tmp_path / "bad.pt")}).extract(
            [astronaut], [(64, 64)]
        )
    assert not (tmp_path / "bombed").exists()


# faces


def test_faces_equal_controlnet_aux(astronaut):
    from controlnet_aux.mediapipe_face.mediapipe_face_common import generate_annotation

    [(painted, found)] = make_extractor("mediapipe_face", {}).extract([astronaut], [(512, 512)])
    assert found == 1
    np.testing.assert_array_equal(painted, generate_annotation(astronaut, 10, 0.5))
    colors = {tuple(color) for color in painted.reshape(-1, 3)}
    assert {(10, 200, 10), (10, 180, 10), (180, 200, 10)} <= {color[::-1] for color in colors}


def test_a_face_lies_where_it_is_at_any_size(astronaut):
    extractor = make_extractor("mediapipe_face", {})
    [(whole, _)] = extractor.extract([astronaut], [(512, 512)])
    [(wide, found)] = extractor.extract([astronaut], [(1024, 512)])
    assert found == 1 and wide.shape == (512, 1024, 3)
    for one, scale in ((whole, 1), (wide, 2)):
        ys, xs = np.nonzero(one.any(axis=2))
        assert 160 < xs.mean() / scale < 270 and 70 < ys.mean() < 190  # her face in the picture


def test_far_faces_are_found_and_small_ones_left_out(assets):
    bus, zidane = (load_image(assets / name) for name in ("bus.jpg", "zidane.jpg"))
    extractor = make_extractor("mediapipe_face", {"min_face_size": 16})
    (_, on_the_street), (painted, close) = extractor.extract(
        [bus, zidane], [(448, 576), (704, 384)]
    )
    assert (on_the_street, close) == (2, 1)
    ys, xs = np.nonzero(painted.any(axis=2))
    assert 0.7 < xs.mean() / 704 < 0.9 and 0.15 < ys.mean() / 384 < 0.45  # the man at the right
    [(painted, found)] = make_extractor("mediapipe_face", {}).extract([bus], [(448, 576)])
    assert found == 0 and not painted.any()


# people

POSE = {  # part: x, y as shares of the picture; parts in OpenPose's order
    0: (0.50, 0.20), 1: (0.50, 0.30), 2: (0.40, 0.30), 3: (0.36, 0.45), 4: (0.34, 0.60),
    5: (0.60, 0.30), 6: (0.64, 0.45), 7: (0.66, 0.60), 8: (0.44, 0.60), 9: (0.43, 0.75),
    10: (0.42, 0.90), 11: (0.56, 0.60), 12: (0.57, 0.75), 13: (0.58, 0.90), 14: (0.47, 0.16),
    15: (0.53, 0.16), 16: (0.43, 0.18), 17: (0.57, 0.18),
}  # fmt: skip


class KnownPerson(torch.nn.Module):
    """Heat maps and limb fields of one known person, as OpenPose's body network gives them."""

    LIMBS = [(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11)]
    LIMBS += [(11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)]
    CHANNELS = [12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36]

    def __init__(self):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, pictures):
        height, width = (side // 8 for side in pictures.shape[2:])
        ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        heat = torch.zeros(1, 19, height, width)
        for part, (x, y) in POSE.items():
            square = (xs - (x * width - 0.5)) ** 2 + (ys - (y * height - 0.5)) ** 2
            heat[0, part] = torch.exp(-square / 2)
        fields = torch.zeros(1, 38, height, width)
        for (start, end), channel in zip(self.LIMBS, self.CHANNELS, strict=True):
            limb = (np.array(POSE[end]) - POSE[start]) * (width, height)
            fields[0, channel], fields[0, channel + 1] = limb / np.hypot(*limb)
        return fields, heat


def blank_checkpoint(network, path, strip):
    """Save zeros for every weight, in the checkpoint's names, in next to no space."""
    state = {
        key.split(".", 1)[1] if strip else key: torch.zeros(()).expand(value.shape)
        for key, value in network.state_dict().items()
    }
    torch.save(state, path)


@pytest.fixture(scope="module")
def openpose_folder(tmp_path_factory):
    from controlnet_aux.open_pose.face import FaceNet
    from controlnet_aux.open_pose.model import bodypose_model, handpose_model

    folder = tmp_path_factory.mktemp("openpose")
    blank_checkpoint(bodypose_model(), folder / "body_pose_model.pth", True)
    blank_checkpoint(handpose_model(), folder / "hand_pose_model.pth", True)
    blank_checkpoint(FaceNet(), folder / "facenet.pth", False)
    return str(folder)


def test_openpose_loads_and_a_network_that_sees_nothing_finds_nobody(openpose_folder, astronaut):
    settings = {"model": openpose_folder, "detect_resolution": 64}
    extractor = make_extractor("openpose", settings)
    [(painted, found)] = extractor.extract([astronaut], [(64, 96)])
    assert found == 0 and painted.shape == (96, 64, 3) and not painted.any()
    assert [path.name for path in extractor.weights()] == ["body_pose_model.pth"]


def check_skeleton(painted, width, height):
    colors = [[255, 0, 0], [255, 85, 0], [255, 170, 0], [255, 255, 0], [170, 255, 0], [85, 255, 0]]
    colors += [[0, 255, 0], [0, 255, 85], [0, 255, 170], [0, 255, 255], [0, 170, 255], [0, 85, 255]]
    colors += [[0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255], [255, 0, 170], [255, 0, 85]]
    for part, (x, y) in POSE.items():
        ys, xs = np.nonzero((painted == colors[part]).all(axis=2))
        assert len(xs), f"part {part} is not drawn"
        assert abs(xs.mean() / width - x) < 0.02 and abs(ys.mean() / height - y) < 0.02


def test_openpose_draws_a_person_in_place_at_any_aspect(openpose_folder):
    extractor = make_extractor("openpose", {"model": openpose_folder})
    extractor._detector.body_estimation.model = KnownPerson()
    picture = np.zeros((480, 480, 3), np.uint8)
    sizes = [(512, 512), (768, 512)]
    for size, (painted, found) in zip(sizes, extractor.extract([picture] * 2, sizes), strict=True):
        assert found == 1 and painted.shape == (size[1], size[0], 3)
        check_skeleton(painted, *size)


class EveryEighthPixel(torch.nn.Module):
    """A network on a sixty-fourth of the pixels, its maps of the size that all of them would give.

    For networks of zeros, whose maps are zero everywhere at any size.
    """

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pictures):
        found = self.network(pictures[..., ::8, ::8])
        size = [side // 8 for side in pictures.shape[2:]]
        if isinstance(found, list):  # of the stages
            return [torch.nn.functional.interpolate(stage, size) for stage in found]
        return torch.nn.functional.interpolate(found, size)


def test_openpose_hands_and_faces_run(openpose_folder):
    settings = {"model": openpose_folder, "hand": True, "face": True}
    extractor = make_extractor("openpose", settings)
    detector = extractor._detector
    detector.body_estimation.model = KnownPerson()
    for part in (detector.hand_estimation, detector.face_estimation):
        part.model = EveryEighthPixel(part.model)
    [(painted, found)] = extractor.extract([np.zeros((480, 480, 3), np.uint8)], [(512, 512)])
    assert found == 1
    check_skeleton(painted, 512, 512)


def test_openpose_weights_cannot_run_code(tmp_path, astronaut):
    torch.save({"x": Bomb(tmp_path / "bombed")}, tmp_path / "body_pose_model.pth")
    with pytest.raises(UserError, match="can't load model"):
        make_extractor("openpose", {"model": str(tmp_path)}).extract([astronaut], [(64, 64)])
    assert not (tmp_path / "bombed").exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "body_pose_model.pth")  # torch's own default


# a whole source

EDGES = {"extractor": "canny", "size": [32, 24]}


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for index, name in enumerate(["a b", "c.d", "é"]):
        image = np.zeros((20, 40 + index, 3), np.uint8)
        image[5:15, 10:30] = 255 if name != "c.d" else 0
        path = tmp_path / f"{name}.png"
        Image.fromarray(image).save(path)
        rows.append(
            {"id": name, "image": str(path), "width": 40 + index, "height": 20, "sha256": name}
        )
    return pd.DataFrame(rows).assign(caption="")


def ages(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}


def remade(folder, manifest, settings):
    """Make the maps again; return their rows and the names of those that were written."""
    for path in (folder / "images").iterdir():
        os.utime(path, ns=(0, 0))
    rows, _ = extract_maps(manifest, folder, settings)
    return rows, {name for name, age in ages(folder).items() if age}


def test_maps_are_made_once_and_stale_ones_go(tmp_path, manifest):
    folder = tmp_path / "maps"
    rows, rejected = extract_maps(manifest, folder, EDGES, threads=2)
    assert rejected == [] and [row["id"] for row in rows] == ["a b", "c.d", "é"]
    assert [row["found"] for row in rows] == [1, 0, 1]
    assert rows[0]["image"] == (folder / "images" / "a b.png").as_posix()
    assert load_image(rows[0]["image"]).shape == (24, 32, 3)
    assert (rows[0]["width"], rows[0]["height"]) == (32, 24)
    again, written = remade(folder, manifest, EDGES | {"low": 100, "empty": "keep"})
    assert again == rows and written == set()
    (folder / "images" / "old.png").write_bytes(b"x")
    (folder / "images" / ".tmp-left.png").write_bytes(b"x")
    again, written = remade(folder, manifest[:2], EDGES)
    assert again == rows[:2] and set(ages(folder)) == {"a b.png", "c.d.png"} and not written


def test_a_map_is_made_again_when_what_it_depends_on_changed(tmp_path, manifest):
    folder = tmp_path / "maps"
    rows, _ = extract_maps(manifest, folder, EDGES)
    changed = manifest.copy()
    changed.loc[2, "sha256"] = "other"
    assert remade(folder, changed, EDGES)[1] == {"é.png"}
    assert len(remade(folder, changed, EDGES | {"high": 201})[1]) == 3
    assert len(remade(folder, changed, EDGES | {"high": 201, "size": [40, 24]})[1]) == 3
    broken = folder / "images" / "a b.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert remade(folder, changed, EDGES | {"high": 201, "size": [40, 24]})[1] == {"a b.png"}


def test_a_killed_job_goes_on_where_it_was(tmp_path, manifest, monkeypatch):
    folder = tmp_path / "maps"
    whole, _ = extract_maps(manifest, tmp_path / "undisturbed", EDGES)
    (tmp_path / "é.png").rename(tmp_path / "away.png")  # the last one can't be read: the job dies
    with pytest.raises(OSError):
        extract_maps(manifest, folder, EDGES)
    assert set(ages(folder)) == {"a b.png", "c.d.png"}
    (tmp_path / "away.png").rename(tmp_path / "é.png")
    rows, written = remade(folder, manifest, EDGES)
    assert written == {"é.png"}
    assert [row["sha256"] for row in rows] == [row["sha256"] for row in whole]


def test_other_model_files_make_other_maps(tmp_path, manifest):
    segformer(tmp_path / "model", CLASSES)
    settings = {"extractor": "segmentation", "model": str(tmp_path / "model"), "size": [64, 64]}
    extract_maps(manifest, tmp_path / "maps", settings)
    assert not remade(tmp_path / "maps", manifest, settings)[1]
    (tmp_path / "model" / "notes.txt").write_text("changed")
    assert len(remade(tmp_path / "maps", manifest, settings)[1]) == 3


def test_empty_maps_are_kept_or_their_pictures_skipped(tmp_path, manifest):
    folder = tmp_path / "maps"
    extract_maps(manifest, folder, EDGES)
    rows, rejected = extract_maps(manifest, folder, EDGES | {"empty": "skip"})
    assert [row["id"] for row in rows] == ["a b", "é"]
    assert rejected == [{"file": manifest.image[1], "reason": "no edge found"}]
    assert set(ages(folder)) == {"a b.png", "é.png"}
    assert remade(folder, manifest, EDGES)[1] == {"c.d.png"}
    with pytest.raises(UserError, match="no edge found in any of 1 pictures(.|\n)*empty: keep"):
        extract_maps(manifest[1:2], folder, EDGES | {"empty": "skip"})


def test_maps_take_the_pictures_aspect(tmp_path, manifest):
    settings = EDGES | {"size": {"resolution": 32, "multiple": 8}}
    rows, _ = extract_maps(manifest, tmp_path / "maps", settings)
    assert {(row["width"], row["height"]) for row in rows} == {(48, 24)}
    assert load_image(rows[0]["image"]).shape == (24, 48, 3)


def test_script(tmp_path, manifest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "manifest.csv", manifest, "manifest")
    job = SimpleNamespace(
        input=[tmp_path / "manifest.csv"],
        output=SimpleNamespace(manifest=tmp_path / "out.csv", rejected=tmp_path / "rejected.csv"),
        params=SimpleNamespace(folder=str(tmp_path / "maps"), settings=EDGES | {"empty": "skip"}),
        wildcards=SimpleNamespace(condition="edges"),
        threads=1,
    )
    script.main(job)
    assert read_table(tmp_path / "out.csv", "conditions").found.tolist() == [1, 1]
    assert len(read_table(tmp_path / "rejected.csv", "rejected")) == 1
    assert job.params.settings == EDGES | {"empty": "skip"}
