"""Skeletons after OpenPose (Cao et al., 2017) in the colors of ControlNet's openpose models."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cia.conditions.likeness import keypoint_closeness
from cia.conditions.weights import device, explained, find_file, local_files
from cia.images import resize_image

_FILES = {
    "body": "body_pose_model.pth",
    "hand": "hand_pose_model.pth",
    "face": "facenet.pth",
}


@dataclass
class Openpose:
    """People's skeletons by controlnet_aux's port of OpenPose (CMU: non-commercial use only).

    People are sought in the picture with its own aspect and drawn at the map's size.

    Attributes
    ----------
    model : str
        Hub id or local folder with body_pose_model.pth and, where asked for, hand_pose_model.pth
        and facenet.pth. They are loaded with weights_only.
    revision : str or None
        Revision of the hub repository.
    body, hand, face : bool
        What to draw. Hands and faces are sought where the body is, which is found in any case.
    detect_resolution : int
        Length of the shorter side of the picture in which people are sought; 512 in controlnet_aux.
    """

    model: str = "lllyasviel/Annotators"
    revision: str | None = None
    body: bool = True
    hand: bool = False
    face: bool = False
    detect_resolution: int = 512

    nothing: ClassVar[str] = "no person found"
    compare: ClassVar[Callable] = staticmethod(keypoint_closeness)
    interpolation: ClassVar[str] = "linear"

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]:
        """Return skeleton maps, with the number of people."""
        from controlnet_aux.open_pose import draw_poses

        maps = []
        for picture, (width, height) in zip(pictures, sizes, strict=True):
            poses = self._detector.detect_poses(
                _with_short_side(picture, self.detect_resolution), self.hand, self.face
            )
            canvas = draw_poses(poses, height, width, self.body, self.hand, self.face)
            maps.append((canvas, len(poses)))
        return maps

    def weights(self) -> list[Path]:
        files = [_FILES["body"], *(_FILES[part] for part in ("hand", "face") if vars(self)[part])]
        return [path for path in local_files(self.model) if path.name in files]

    @cached_property
    def _detector(self) -> Any:
        from controlnet_aux.open_pose import OpenposeDetector
        from controlnet_aux.open_pose.body import Body
        from controlnet_aux.open_pose.face import Face, FaceNet
        from controlnet_aux.open_pose.hand import Hand
        from controlnet_aux.open_pose.model import bodypose_model, handpose_model

        return OpenposeDetector(
            self._part(Body, bodypose_model(), "body"),
            self._part(Hand, handpose_model(), "hand") if self.hand else None,
            self._part(Face, FaceNet(), "face") if self.face else None,
        )

    def _part(self, kind: type, network: Any, name: str) -> Any:
        """Load one of the networks.

        Around the constructor of controlnet_aux, which leaves it to torch's default whether a
        checkpoint may run code, and expects weights saved on a device that this machine has.
        """
        import torch

        with explained(self.model, "openpose"):
            path = find_file(self.model, _FILES[name], self.revision)
            state = torch.load(path, map_location="cpu", weights_only=True)
            if name != "face":  # its modules have one name more than the checkpoint's
                state = {key: state[key.split(".", 1)[1]] for key in network.state_dict()}
            network.load_state_dict(state)
        part = kind.__new__(kind)
        part.model = network.eval().to(device())
        return part


def _with_short_side(picture: np.ndarray, length: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = length / min(width, height)
    return resize_image(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
