"""Judges see what is wrong with an image, and only that."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from skimage import data

from cia.catalog import CONDITIONS
from cia.conditions.extractors import make_extractor
from cia.conditions.likeness import edge_f1, keypoint_closeness, mean_iou
from cia.errors import UserError
from cia.images import resize_image, save_png
from cia.judging.cases import Case, judge_images, make_case
from cia.judging.survival import MATCH, box_iou, match_objects, overlaps
from cia.labels.masks import mask_to_rle, trace
from cia.labels.objects import Object
from cia.quiet_ultralytics import import_ultralytics


def square(left: int, top: int, side: int = 20, color=(255, 255, 255)) -> np.ndarray:
    """The outline of a square on black."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[top : top + side, [left, left + side - 1]] = color
    image[[top, top + side - 1], left : left + side] = color
    return image


@pytest.mark.parametrize("compare", [edge_f1, mean_iou, keypoint_closeness])
def test_equal_maps_agree_wholly_and_others_less(compare):
    empty = np.zeros((64, 64, 3), np.uint8)
    assert compare(square(10, 10), square(10, 10)) == pytest.approx(1)
    assert compare(empty, empty) == pytest.approx(1)
    near, far = compare(square(10, 10), square(14, 10)), compare(square(10, 10), square(40, 40))
    assert 0 <= far < near < 1
    assert compare(square(10, 10), empty) <= far + 0.5


def test_edges_match_within_two_pixels_and_extra_ones_cost():
    assert edge_f1(square(10, 10), square(12, 10)) == 1
    assert edge_f1(square(10, 10), square(10, 10) | square(40, 40)) == pytest.approx(
        2 / 3, abs=0.01
    )
    assert edge_f1(square(10, 10), np.zeros((64, 64, 3), np.uint8)) == 0


def test_iou_is_that_of_the_classes_shown():
    first, second = np.zeros((2, 10, 10, 3), np.uint8)
    first[:5], second[:] = (255, 0, 0), (255, 0, 0)
    assert mean_iou(first, second) == pytest.approx((0.5 + 0) / 2)


def test_keypoints_are_held_against_those_of_their_own_color():
    red, green = (255, 0, 0), (0, 255, 0)
    one = square(10, 10, 3, red) | square(40, 40, 3, green)
    swapped = square(10, 10, 3, green) | square(40, 40, 3, red)
    moved = square(12, 10, 3, red) | square(40, 40, 3, green)
    assert keypoint_closeness(one, moved) > 0.98
    assert keypoint_closeness(one, swapped) == pytest.approx(
        1 - 30 * 2**0.5 / 64 / 2**0.5, abs=0.02
    )
    assert keypoint_closeness(one, square(10, 10, 3, red)) == pytest.approx(0.5)


def test_every_extractor_compares_its_maps():
    for name in CONDITIONS:
        extractor = make_extractor(name, {} if name != "segmentation" else {"model": "x"})
        assert extractor.compare(square(1, 1), square(1, 1)) == pytest.approx(1), name


def case(folder, images, condition, label="", task="detection", prompt="a face") -> Case:
    rows = []
    save_png(folder / "map.png", condition)
    for number, image in enumerate(images):
        save_png(folder / f"{number}.png", image)
        height, width = image.shape[:2]
        row = {"id": str(number), "image": str(folder / f"{number}.png"), "prompt": prompt}
        row |= {"condition": str(folder / "map.png"), "label": label}
        rows.append(row | {"width": width, "height": height})
    return Case(pd.DataFrame(rows), task, ["zero", "one"], batch_size=2, threads=1)


def test_fidelity_falls_as_the_picture_leaves_its_map(tmp_path):
    picture = resize_image(data.astronaut(), (128, 128))
    condition, _ = make_extractor("canny", {}).extract([picture], [(128, 128)])[0]
    shifted, blank = np.roll(picture, 9, axis=1), np.full_like(picture, 127)
    settings = {"extractor": "canny", "size": [128, 128], "empty": "keep"}
    found = judge_images(
        case(tmp_path, [picture, shifted, blank], condition),
        {"kind": "condition_fidelity", "condition": settings},
    )["condition_fidelity"]
    assert found[0] == 1 and 0 < found[1] < 0.9 and found[2] == 0


def test_fidelity_of_a_face_mesh(tmp_path):
    picture = data.astronaut()
    settings = {"extractor": "mediapipe_face", "min_face_size": 32}
    condition, faces = make_extractor("mediapipe_face", {"min_face_size": 32}).extract(
        [picture], [(512, 512)]
    )[0]
    assert faces == 1
    blank = np.full_like(picture, 127)
    found = judge_images(
        case(tmp_path, [picture, blank], condition),
        {"kind": "condition_fidelity", "condition": settings},
    )["condition_fidelity"]
    assert found[0] > 0.99 and found[1] == pytest.approx(0)


SIZE = (100, 80)


def boxes_of(*rows: tuple) -> list[Object]:
    """Objects of class, left, top, right and bottom."""
    return [Object(str(index), tuple(box)) for index, *box in rows]


def test_boxes_match_one_to_one_by_class_and_overlap():
    labelled = boxes_of((0, 0.1, 0.1, 0.3, 0.3), (1, 0.6, 0.6, 0.8, 0.8))
    assert match_objects(labelled, labelled, SIZE) == (1, pytest.approx(1), 0)
    wrong = [labelled[0]._replace(index="1"), labelled[1]]
    assert match_objects(labelled, wrong, SIZE) == (0.5, pytest.approx(0.5), 1)
    assert match_objects(labelled, [*labelled, labelled[0]], SIZE) == (1, pytest.approx(1), 1)
    assert match_objects(labelled, [], SIZE) == (0, 0, 0)
    assert match_objects([], labelled, SIZE) == (1, 1, 2)


@given(st.integers(0, 10**6))
def test_box_iou_is_torchvision_s(seed):
    import torch
    from torchvision.ops import box_convert
    from torchvision.ops import box_iou as reference

    boxes = torch.from_numpy(np.random.default_rng(seed).uniform(0.05, 0.6, (2, 6, 4)))
    corners = [box_convert(each, "cxcywh", "xyxy") for each in boxes]
    np.testing.assert_allclose(
        box_iou(*(each.numpy() for each in corners)), reference(*corners).numpy(), atol=1e-9
    )


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_mask_iou_is_pycocotools_s_and_blind_to_boxes(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((2, 3, 8, 10)) < 0.5
    objects = [[Object("0", (0, 0, 1, 1), polygon=trace(mask)) for mask in some] for some in masks]
    runs = [[mask_to_rle(mask) for mask in some] for some in masks]
    found = overlaps(*objects, (10, 8))
    np.testing.assert_allclose(found, coco.iou(*runs, [0] * 3), atol=1e-6)


def poses(points: np.ndarray, index: str = "0") -> list[Object]:
    return [Object(index, (0.2, 0.1, 0.7, 0.9), keypoints=some) for some in points]


@pytest.mark.parametrize("count", [17, 5])
def test_keypoint_similarity_is_ultralytics_s(count):
    rng = np.random.default_rng(3)
    seen = rng.integers(0, 3, (4, count, 1))
    labelled = np.concatenate([rng.uniform(0.2, 0.7, (4, count, 2)), seen], axis=2)
    found = labelled[:, :, :2] + rng.normal(0, 0.05, (4, count, 2))
    import_ultralytics()
    import torch
    from ultralytics.utils.metrics import OKS_SIGMA, kpt_iou

    pixels = [torch.from_numpy(points[..., :2] * SIZE) for points in (labelled, found)]
    area = torch.full((4,), 0.5 * 100 * 0.8 * 80 * 0.53)
    expected = kpt_iou(
        torch.cat([pixels[0], torch.from_numpy(seen)], dim=2),
        pixels[1],
        area,
        OKS_SIGMA if count == 17 else np.ones(count) / count,
    )
    np.testing.assert_allclose(
        overlaps(poses(labelled), poses(found), SIZE), expected.numpy(), atol=1e-6
    )


def test_keypoints_that_are_not_labelled_do_not_count_and_without_any_the_box_does():
    label = np.array([(0.3, 0.3, 2), (0, 0, 0)])
    (found,) = poses(np.array([[(0.3, 0.3), (0.9, 0.9)]]))
    assert overlaps(poses(label[None]), [found], SIZE) == pytest.approx(1)
    away = found._replace(keypoints=found.keypoints + 0.5)
    assert overlaps(poses(label[None]), [away], SIZE) < MATCH
    assert overlaps(poses(label[None] * 0), [away], SIZE) == pytest.approx(1)


def test_a_shard_holds_its_images_with_prompt_map_and_label():
    ids = [f"{n:02d}" for n in range(40)]
    plan = pd.DataFrame({"id": ids, "prompt": ids, "condition": ids})
    manifest = pd.DataFrame({"id": ids[::-1], "image": ids[::-1], "width": 64, "height": 64})
    labels = pd.DataFrame({"id": ids, "label": "0"})
    parts = [
        make_case(plan, manifest, labels, shard, 3, task="x", classes=[], batch_size=1, threads=1)
        for shard in range(3)
    ]
    joined = pd.concat([part.images for part in parts])
    assert sorted(joined["id"]) == ids
    assert (joined["id"] == joined["image"]).all() and (joined["id"] == joined["prompt"]).all()


def test_an_empty_shard_has_no_rows():
    empty = Case(pd.DataFrame({"id": [], "image": []}), "detection", [], 1, 1)
    assert judge_images(empty, {"kind": "condition_fidelity"}).empty


def test_text_agreement_equals_transformers_own_similarity(tmp_path):
    import torch
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    folder = save_tiny_clip(tmp_path / "clip")
    pictures = [resize_image(data.astronaut(), (32, 32)), resize_image(data.coffee(), (32, 32))]
    found = judge_images(
        case(tmp_path, pictures, pictures[0], prompt="a red one"),
        {"kind": "text_agreement", "model": str(folder), "revision": None},
    )["text_agreement"]
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    inputs = processor(
        text=["a red one"],
        images=[Image.fromarray(picture) for picture in pictures],
        return_tensors="pt",
        padding="max_length",
        truncation=True,
    )
    with torch.inference_mode():
        logits = model.eval()(**inputs).logits_per_image[:, 0]
    expected = (100 * logits / model.logit_scale.exp()).clamp(min=0)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def save_tiny_clip(folder):
    """A CLIP of random weights, with the embedded generator's tokenizer."""
    import torch
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    from project import ROOT

    torch.manual_seed(1)
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "resources/tiny-sd/tokenizer")
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config={
            **size,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": tokenizer.model_max_length,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**size, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def test_a_text_image_model_that_can_not_be_had_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(UserError, match="nowhere.*can't be loaded"):
        judge_images(
            case(tmp_path, [picture], picture),
            {"kind": "text_agreement", "model": str(tmp_path / "nowhere"), "revision": None},
        )
