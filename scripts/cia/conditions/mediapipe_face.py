"""Face meshes in the colors of ControlNet's mediapipe-face models."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cia.conditions.likeness import keypoint_closeness


@dataclass
class MediapipeFace:
    """MediaPipe's face mesh, drawn as controlnet_aux draws it.

    The models come with the mediapipe package. Its face mesh alone, as in controlnet_aux, sees
    faces within about two meters (the short-range detector); so the full-range detector looks over
    the picture as well, and the mesh is fitted to what it finds too. Faces are sought in the
    picture as it is and drawn at the map's size.

    Attributes
    ----------
    max_faces : int
        The most faces per picture.
    min_confidence : float
        The least confidence of the detector, 0 to 1.
    min_face_size : int
        Faces with a shorter side, in pixels of the map, are left out; 64 in the training of the
        ControlNet (CrucibleAI/ControlNetMediaPipeFace) and in controlnet_aux.
    """

    max_faces: int = 10
    min_confidence: float = 0.5
    min_face_size: int = 64

    nothing: ClassVar[str] = "no face found (or none of at least min_face_size pixels)"
    compare: ClassVar[Callable] = staticmethod(keypoint_closeness)
    interpolation: ClassVar[str] = "linear"

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]:
        """Return face maps, with the number of faces."""
        return [self._map(*pair) for pair in zip(pictures, sizes, strict=True)]

    def weights(self) -> list[Path]:
        return []

    @cached_property
    def _mesh(self) -> Any:
        from mediapipe import solutions

        # static_image_mode: nothing is tracked from one picture to the next
        return solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=self.max_faces,
            refine_landmarks=True,
            min_detection_confidence=self.min_confidence,
        )

    @cached_property
    def _detector(self) -> Any:
        from mediapipe import solutions

        return solutions.face_detection.FaceDetection(
            model_selection=1, min_detection_confidence=self.min_confidence
        )

    def _map(self, picture: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, int]:
        faces = self._faces(np.ascontiguousarray(picture))[: self.max_faces]
        faces = [face for face in faces if self._side(face, size) >= self.min_face_size]
        return draw_faces(faces, size), len(faces)

    def _faces(self, picture: np.ndarray) -> list[Any]:
        """Return landmarks, normalized to the picture: near faces, then those farther off."""
        faces = list(self._mesh.process(picture).multi_face_landmarks or [])
        for detection in self._detector.process(picture).detections or []:
            box = detection.location_data.relative_bounding_box
            center = np.array([box.xmin + box.width / 2, box.ymin + box.height / 2])
            if any(_covers(face, center) for face in faces):
                continue
            left, top, right, bottom = _around(box, center, picture.shape)
            crop = np.ascontiguousarray(picture[top:bottom, left:right])
            for face in (self._mesh.process(crop).multi_face_landmarks or [])[:1]:
                _shift(face, (left, top), crop.shape, picture.shape)
                faces.append(face)
        return faces

    @staticmethod
    def _side(face: Any, size: tuple[int, int]) -> float:
        points = np.array([(point.x, point.y) for point in face.landmark])
        return float((np.ptp(points, axis=0) * size).min())


def _covers(face: Any, point: np.ndarray) -> bool:
    points = np.array([(landmark.x, landmark.y) for landmark in face.landmark])
    return bool((points.min(0) <= point).all() and (point <= points.max(0)).all())


def _around(box: Any, center: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a square of twice the face, in pixels, in the picture."""
    height, width = shape[:2]
    half = max(box.width * width, box.height * height)
    x, y = center * (width, height)
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return left, top, min(width, int(x + half) + 1), min(height, int(y + half) + 1)


def _shift(
    face: Any, corner: tuple[int, int], crop: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """Turn landmarks normalized to a crop into ones normalized to the picture."""
    for landmark in face.landmark:
        landmark.x = (corner[0] + landmark.x * crop[1]) / shape[1]
        landmark.y = (corner[1] + landmark.y * crop[0]) / shape[0]


def draw_faces(faces: list[Any], size: tuple[int, int]) -> np.ndarray:
    """Draw MediaPipe face landmarks (normalized) on black, with controlnet_aux's own colors.

    Returns
    -------
    numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    """
    from controlnet_aux.mediapipe_face import mediapipe_face_common as common

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for face in faces:
        common.mp_drawing.draw_landmarks(
            canvas,
            face,
            connections=common.face_connection_spec.keys(),
            landmark_drawing_spec=None,
            connection_drawing_spec=common.face_connection_spec,
        )
        common.draw_pupils(canvas, face, common.iris_landmark_spec, 2)
    return np.ascontiguousarray(canvas[..., ::-1])  # the library's colors are BGR
