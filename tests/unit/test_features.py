"""Features equal what the libraries compute themselves, on the pictures as they are."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cia.errors import UserError
from cia.features.extraction import crop_box, extract_features, load_model
from cia.images import save_png
from conftest import ROOT

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs of different size and shape, gray and with transparency among them."""
    from skimage import data

    folder = tmp_path_factory.mktemp("pictures")
    made = {"cat": data.chelsea(), "astronaut": data.astronaut()[:300], "coins": data.coins()}
    for name, pixels in made.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(data.logo()).save(folder / "logo.png")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A tiny vision transformer with the processor of the real one, in a local folder."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(
        size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)
    return str(folder)


def test_vit_features_equal_those_of_the_hub_s_processor_fed_the_picture(pictures, vit):
    from transformers import ViTImageProcessor, ViTModel

    model, processor = ViTModel.from_pretrained(vit), ViTImageProcessor.from_pretrained(vit)
    images = [Image.open(path).convert("RGB") for path in pictures if "logo" not in path]
    inputs = processor(images=images, return_tensors="pt")
    assert inputs["pixel_values"].abs().max() > 0.9, "the pictures are almost black"
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state[:, 0].numpy()
    paths = [path for path in pictures if "logo" not in path]
    features, probabilities = extract_features(paths, {"model": "vit", "weights": vit}, 2)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert features.dtype == np.float32 and probabilities.shape == (len(paths), 0)


def test_features_do_not_depend_on_batch_threads_or_order(pictures, vit):
    settings = {"model": "vit", "weights": vit}
    first, _ = extract_features(pictures, settings, batch_size=1)
    second, _ = extract_features(pictures[::-1], settings, batch_size=3, threads=2)
    np.testing.assert_allclose(second[::-1], first, atol=1e-5)


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A network with the interface of clean-fid's TorchScript Inception, and its file name."""

    class Layers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 2048, 8, stride=32)

        def forward(self, x):
            return self.convolution(x).mean(dim=(2, 3))

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = Layers()
            self.output = torch.nn.Linear(2048, 1008)

        def forward(self, x, return_features: bool = False):
            features = self.layers((x - 128) / 128)
            return features if return_features else self.output(features).softmax(dim=1)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / "inception-2015-12-05.pt"
    torch.jit.script(Network().eval()).save(path)
    return str(path)


def test_inception_features_equal_clean_fid_s_own(pictures, inception):
    from pathlib import Path

    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    model = InceptionV3W(str(Path(inception).parent), download=False)
    expected = get_files_features(
        [path for path in pictures if "logo" not in path],
        model=model,
        num_workers=0,
        batch_size=2,
        device=CPU,
        mode="clean",
        verbose=False,
    )
    paths = [path for path in pictures if "logo" not in path]
    settings = {"model": "inception", "weights": inception}
    features, probabilities = extract_features(paths, settings, batch_size=2)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert probabilities.shape == (len(paths), 1008)


def test_any_timm_model_comes_with_its_own_preprocessing(pictures, tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    reference = timm.create_model("test_vit", pretrained=False)
    path = tmp_path / "model.safetensors"
    save_file({key: value.contiguous() for key, value in reference.state_dict().items()}, path)
    settings = {"model": "timm:test_vit", "weights": str(path)}
    features, probabilities = extract_features(pictures[:2], settings, batch_size=2)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(reference))
    inputs = torch.stack([transform(Image.open(path).convert("RGB")) for path in pictures[:2]])
    with torch.inference_mode():
        expected = reference.eval()(inputs).softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert features.shape == (2, reference.num_features)


def test_the_embedded_network_loads_and_knows_its_classes(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = json.loads((ROOT / "resources/tiny-features/config.json").read_text())
    extractor = load_model({"model": "tiny"}, CPU)
    features, probabilities = extractor.network(
        extractor.preprocess(np.zeros((64, 64, 3), np.uint8))[None]
    )
    assert probabilities.shape == (1, config["num_classes"])
    assert features.shape[1] > 16


def test_a_picture_with_features_of_nan_or_infinity_is_named(pictures, vit, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "vit"
    broken.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (broken / name).write_text((ROOT / vit / name).read_text())
    weights = load_file(f"{vit}/model.safetensors")
    weights["layernorm.weight"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="cat.png"):
        extract_features(pictures, {"model": "vit", "weights": str(broken)}, 2)


def test_models_that_can_not_be_had_are_named_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="'nothing' is none of inception, timm, tiny, vit"):
        load_model({"model": "nothing"}, CPU)
    with pytest.raises(UserError, match="inception-2015-12-05.pt"):
        load_model({"model": "inception", "weights": str(tmp_path / "other.pt")}, CPU)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="set `weights` to the local"):
        load_model({"model": "vit", "weights": str(tmp_path / "missing")}, CPU)


def test_gray_and_transparent_pictures_have_features_too(tmp_path, vit):
    save_png(tmp_path / "gray.png", Image.new("L", (30, 20), 128))
    save_png(tmp_path / "clear.png", Image.new("RGBA", (30, 20), (1, 2, 3, 40)))
    paths = [str(path) for path in sorted(tmp_path.glob("*.png"))]
    features, _ = extract_features(paths, {"model": "vit", "weights": vit}, 2)
    assert np.isfinite(features).all()


def test_a_box_is_looked_at_alone(pictures, tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 15:45] = 200
    box = np.array([0.5, 0.375, 0.5, 0.25])
    assert crop_box(image, box).shape == (10, 30, 3)
    assert (crop_box(image, box) == 200).all()
    assert crop_box(image, np.array([1.0, 1.0, 0.001, 0.001])).shape == (1, 1, 3)
    save_png(tmp_path / "whole.png", image)
    save_png(tmp_path / "part.png", crop_box(image, box))
    settings = {"model": "tiny"}
    part, _ = extract_features([str(tmp_path / "part.png")], settings, 2)
    boxed, _ = extract_features([str(tmp_path / "whole.png")], settings, 2, boxes=box[None])
    np.testing.assert_allclose(boxed, part, atol=1e-5)
