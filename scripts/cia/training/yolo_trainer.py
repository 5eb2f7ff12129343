"""ultralytics' trainer that does what it is told: each picture, each step, the same after a kill.

Imported after `cia.quiet_ultralytics.import_ultralytics` only, which sets up the environment.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data import build
from ultralytics.data import dataset as datasets
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.utils.torch_utils import unwrap_model

from cia.errors import UserError
from cia.files import atomic_path, write_text
from cia.labels.objects import Object, parse_objects
from cia.progress import log_epoch
from cia.remedies import command
from cia.training.schedule import Draw, EpochSampler, Schedule, seed_epoch

_ROUNDING = 1e-6
"""Of coordinates, as shares of the sides: ultralytics' numbers have 32 bits."""


class CheckedDataset(datasets.YOLODataset):
    """Pictures and labels: none is left out, and how one is augmented depends on its draw alone.

    ultralytics goes on without pictures that it takes for damaged, and takes those without a label
    file for backgrounds. Partners for mosaics it takes from those that a process read lately, so
    that they depend on the number of processes.

    Attributes
    ----------
    schedule : Schedule, optional
        Of a training; its pictures are asked for by `Draw`.
    """

    schedule: Schedule | None = None

    def cache_labels(self, path: Path) -> dict:
        """Read all labels.

        Raises
        ------
        UserError
            If a picture or its label can't be used.
        """
        reasons = [
            f"{label}: the label file is missing"
            for label in self.label_files
            if not Path(label).is_file()
        ]
        if not reasons:
            content = super().cache_labels(path)
            kept = [text for text in content["msgs"] if "duplicate labels removed" not in text]
            reasons = [text.removeprefix(self.prefix) for text in kept]
            reasons = reasons or self._misread(content["labels"])
        if reasons:
            listed = "\n".join(f"  {reason}" for reason in reasons[:5])
            raise UserError(
                f"{len(reasons)} of {len(self.im_files)} pictures can't be used, or have lost "
                f"their labels, since the training set was made:\n{listed}\n"
                f"Make the training set again: {command('--forcerun mix')}"
            )
        return content

    def _misread(self, labels: list[dict]) -> list[str]:
        """List the labels whose polygons or keypoints are others than those of their files."""
        task = "segmentation" if self.use_segments else "pose"
        if not (self.use_segments or self.use_keypoints):
            return []
        reasons = []
        for file, label in zip(self.label_files, labels, strict=True):
            text = Path(file).read_text(encoding="utf-8")
            given = parse_objects(text, task, self.data.get("kpt_shape"))
            read = label["segments"] if self.use_segments else label["keypoints"]
            if len(read) != len(given):
                reasons.append(f"{file}: ultralytics reads {len(read)} of {len(given)} objects")
            elif not all(map(_is_read_as_given, given, read)):
                reasons.append(f"{file}: ultralytics reads other points than there are")
        return reasons

    def __getitem__(self, index: int | Draw) -> dict:
        """Return a picture with its labels; of a draw, augmented as it is for this draw."""
        if not isinstance(index, Draw):
            return super().__getitem__(index)
        self.buffer = self._lately_drawn(index)
        with index.randomness():
            return super().__getitem__(index.row)

    def load_image(self, i: int, *arguments: Any, **named: Any) -> tuple:
        """Load a picture; those of the last draws are kept, since mosaics take each four times."""
        if self.schedule is None or self.cache == "ram":
            return super().load_image(i, *arguments, **named)
        key = (i, arguments, *named.items())
        loaded = self._kept.pop(key, None) or self._read(i, arguments, named)
        self._kept[key] = loaded
        if len(self._kept) > self.max_buffer_length:
            del self._kept[next(iter(self._kept))]
        image, *shapes = loaded
        return image.copy(), *shapes  # some transforms write into what they are given

    def _read(self, i: int, arguments: tuple, named: dict) -> tuple:
        """Read a picture, and keep ultralytics from noting it among the partners for mosaics."""
        partners, self.buffer = self.buffer, []
        try:
            return super().load_image(i, *arguments, **named)
        finally:
            self.buffer = partners
            self.ims[i] = self.im_hw0[i] = self.im_hw[i] = None

    def follow(self, schedule: Schedule) -> None:
        """Take pictures by this schedule's draws from now on."""
        self.schedule = schedule
        self._kept: dict[int, tuple] = {}

    def _lately_drawn(self, draw: Draw) -> list[int]:
        """Return as many pictures as ultralytics keeps, drawn before this one (or first of all)."""
        count = self.max_buffer_length
        start = max(draw.epoch * self.schedule.draws + draw.position - count, 0)
        return self.schedule.line(start, start + count).tolist()


def _is_read_as_given(given: Object, read: np.ndarray) -> bool:
    """Whether ultralytics' points, (P, 2) or (K, 3), are an object's polygon or keypoints."""
    if given.polygon is not None:
        return read.shape == given.polygon.shape and np.allclose(
            read, given.polygon, atol=_ROUNDING
        )
    points, seen = given.keypoints[:, :2], given.keypoints[:, 2:]
    if not seen.size:
        seen = np.where((points < 0).any(axis=1, keepdims=True), 0.0, 1.0)
    return np.allclose(read, np.hstack([points, seen]), atol=_ROUNDING)


def refuse_caches() -> None:
    """Keep ultralytics from writing pickled tables of labels into training sets.

    Two trainings that start at once on one set would write the same file, too.
    """

    def load(path: Path) -> dict:
        raise FileNotFoundError(path)

    def save(prefix: str, path: Path, content: dict, version: str) -> None:
        content["version"] = version

    datasets.load_dataset_cache_file, datasets.save_dataset_cache_file = load, save
    build.YOLODataset = CheckedDataset


class ScheduledTrainer:
    """A trainer whose epochs come from a schedule, and whose state is saved whole.

    What there is to train it gets from one of ultralytics' trainers, see `trainer_class`.

    Every epoch begins with random states that are a function of the seed and its number, and after
    every epoch all that the next one goes on from is saved in full precision. ultralytics' own
    checkpoint holds the averaged weights and a half-precision optimizer, so that what it resumes
    is another training.

    Parameters
    ----------
    schedule : Schedule
    state : Path
        Where the state is saved, and taken from if it is there.
    key : str
        Where in the config the settings are, for messages.
    overrides : dict
        Arguments of ultralytics' train.

    Attributes
    ----------
    steps : int
        Optimizer steps taken.
    best_epoch : int
        The epoch (from 1) of the best weights; the last one of equals.
    """

    def __init__(self, schedule: Schedule, state: Path, key: str, overrides: dict):
        self.schedule, self.state, self.key = schedule, state, key
        self.steps = self.best_epoch = 0
        super().__init__(overrides=overrides)
        self.add_callback("on_train_epoch_start", ScheduledTrainer._begin_epoch)
        self.add_callback("on_fit_epoch_end", ScheduledTrainer._log_epoch)

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Return the loader of the schedule's epochs; for val ultralytics' own."""
        if mode != "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        if len(dataset) != self.schedule.pictures:
            raise UserError(
                f"{self.key}: ultralytics reads {len(dataset)} of the training set's "
                f"{self.schedule.pictures} pictures"
            )
        dataset.follow(self.schedule)
        workers = self.args.workers
        return build.InfiniteDataLoader(
            dataset,
            batch_size=batch_size,
            sampler=EpochSampler(self.schedule),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.device.type == "cuda",
            collate_fn=dataset.collate_fn,
        )

    def build_optimizer(self, model, name="auto", lr=0.001, momentum=0.9, decay=1e-5, **_) -> Any:
        """Build the optimizer; which one is `auto` depends on the steps, not on the set's size."""
        steps = self.schedule.epochs * self.schedule.steps_per_epoch
        try:
            return super().build_optimizer(model, name, lr, momentum, decay, iterations=steps)
        except NotImplementedError as error:
            raise UserError(f"{self.key}.options: there is no optimizer {name!r}") from error

    def optimizer_step(self) -> None:
        """Take a step, and count it."""
        super().optimizer_step()
        self.steps += 1

    def final_eval(self) -> None:
        """Do nothing: the best weights are tested by `cia.training.yolo`."""

    def save_model(self) -> bool:
        """Save the best weights so far, and then the state, whole or not at all."""
        saved = super().save_model()
        if self.best_fitness == self.fitness:
            self.best_epoch = self.epoch + 1
        content = {
            "model": unwrap_model(self.model).state_dict(),
            "ema": self.ema.ema.state_dict(),
            "updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "stopper": vars(self.stopper),
            "best_fitness": self.best_fitness,
            "best_epoch": self.best_epoch,
            "steps": self.steps,
            "epoch": self.epoch,
            "ended": bool(self.stop),
            "results": self.csv.read_text(encoding="utf-8"),
        }
        with atomic_path(self.state) as partial:
            torch.save(content, partial)
        return saved

    def resume_training(self, ckpt: dict | None) -> None:
        """Go on from the saved state, if there is one; `ckpt` are the weights that are named."""
        if not self.state.exists():
            return
        content = load_state(self.state, self.device)
        model = unwrap_model(self.model)
        model.load_state_dict(content["model"])
        self.ema.ema.load_state_dict(content["ema"])
        self.ema.updates = content["updates"]
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        vars(self.stopper).update(content["stopper"])
        self.best_fitness, self.best_epoch = content["best_fitness"], content["best_epoch"]
        self.steps, self.start_epoch = content["steps"], content["epoch"] + 1
        write_text(self.csv, content["results"])
        head = getattr(model, "student_model", model).model[-1]
        if getattr(head, "one2one_cv2", None) is not None:
            # heads with two losses weigh them by the epoch: as in ultralytics' own resume
            model.criterion = model.init_criterion()
            model.criterion.updates = self.start_epoch - 1
            model.criterion.update()

    def _build_train_pipeline(self) -> None:
        if self.optimizer is not None:  # ultralytics would go on with half the batch
            raise UserError(
                f"{self.key}: out of GPU memory with batches of {self.args.batch} pictures of "
                f"{self.args.imgsz} pixels; lower {self.key}.batch or {self.key}.image_size"
            )
        super()._build_train_pipeline()

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Stop where ultralytics would go back to averaged weights in half precision."""
        values = {"loss": self.loss.item(), "val result": float(self.fitness)}
        for name, value in values.items():
            if not np.isfinite(value):
                raise UserError(
                    f"{self.key}: the {name} became NaN or infinity in epoch {epoch + 1}. Lower "
                    f"the learning rate (lr0 in {self.key}.options, with an `optimizer` beside "
                    "it), or leave amp off"
                )
        return False

    def _begin_epoch(self) -> None:
        """Seed the epoch, and have its draws read."""
        seed_epoch(self.args.seed, self.epoch)
        self.train_loader.sampler.epoch = self.epoch
        self.train_loader.reset()  # workers draw ahead

    def _log_epoch(self) -> None:
        """Log an epoch; ultralytics itself writes to the console alone."""
        found = {name: round(float(value), 4) for name, value in self.metrics.items()}
        log_epoch(self.epoch + 1, self.epochs, found)


@cache
def trainer_class(task: str) -> type:
    """Return the trainer of a task: a `ScheduledTrainer` of ultralytics' own."""
    trainers = {
        "detection": DetectionTrainer,
        "segmentation": SegmentationTrainer,
        "pose": PoseTrainer,
    }
    return type(f"Scheduled{trainers[task].__name__}", (ScheduledTrainer, trainers[task]), {})


def load_state(path: Path, device: torch.device | str = "cpu") -> dict:
    """Return a saved state; see `ScheduledTrainer.save_model`."""
    return torch.load(path, weights_only=True, map_location=device)
