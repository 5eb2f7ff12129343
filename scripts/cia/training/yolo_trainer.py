"""ultralytics' trainer that does what it is told: each picture, each step, the same after a kill.

Imported after `cia.yolo.import_ultralytics` only, which sets up the environment.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data import build
from ultralytics.data import dataset as datasets
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import unwrap_model

from cia.errors import UserError
from cia.files import atomic_path, write_text
from cia.progress import log_epoch
from cia.remedies import command
from cia.training.schedule import EpochSampler, Schedule


class CheckedDataset(datasets.YOLODataset):
    """Pictures and labels of which none is left out.

    ultralytics goes on without pictures that it takes for damaged, and takes those without a label
    file for backgrounds.
    """

    def cache_labels(self, path: Path) -> dict:
        """Read all labels.

        Raises
        ------
        UserError
            If a picture or its label can't be used.
        """
        asked = list(self.im_files)
        content = super().cache_labels(path)
        _, missing, _, corrupt, _ = content["results"]
        changed = [text for text in content["msgs"] if "restored and saved" in text]
        if missing or corrupt or changed:
            without = [label for label in self.label_files if not Path(label).is_file()]
            reasons = [f"{path}: the label file is missing" for path in without]
            reasons += [text.removeprefix(self.prefix) for text in content["msgs"]]
            listed = "\n".join(f"  {reason}" for reason in reasons[:5])
            raise UserError(
                f"{missing + corrupt + len(changed)} of {len(asked)} pictures can't be used, or "
                f"have lost their labels, since the training set was made:\n{listed}\n"
                f"Make the training set again: {command('--forcerun mix')}"
            )
        return content


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


class Trainer(DetectionTrainer):
    """A detection trainer whose epochs come from a schedule, and whose state is saved whole.

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
        self.add_callback("on_train_epoch_start", Trainer._begin_epoch)
        self.add_callback("on_fit_epoch_end", Trainer._log_epoch)

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Return the loader of the schedule's epochs; for val ultralytics' own."""
        if mode != "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        workers = self.args.workers
        return build.InfiniteDataLoader(
            dataset,
            batch_size=batch_size,
            sampler=EpochSampler(self.schedule),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.device.type == "cuda",
            collate_fn=dataset.collate_fn,
            worker_init_fn=build.seed_worker,
            generator=torch.Generator(),
        )

    def build_optimizer(self, model, name="auto", lr=0.001, momentum=0.9, decay=1e-5, **_) -> Any:
        """Build the optimizer; which one is `auto` hangs on the steps, not on the set's size."""
        steps = self.schedule.epochs * self.schedule.steps_per_epoch
        return super().build_optimizer(model, name, lr, momentum, decay, iterations=steps)

    def optimizer_step(self) -> None:
        """Take a step, and count it."""
        super().optimizer_step()
        self.steps += 1

    def final_eval(self) -> None:
        """Do nothing: the best weights are judged by `cia.training.yolo`."""

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
        if getattr(model.model[-1], "one2one_cv2", None) is not None:
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
        """Make all that is random in this epoch a function of the seed and its number."""
        number = self.args.seed * 100_003 + self.epoch
        random.seed(number)
        np.random.seed(number % 2**32)
        torch.manual_seed(number)
        loader = self.train_loader
        loader.generator.manual_seed(number)
        loader.sampler.epoch = self.epoch
        loader.reset()  # workers keep random states of their own, and pictures for mosaics
        dataset = loader.dataset
        for index in dataset.buffer:
            dataset.ims[index] = None
        dataset.buffer.clear()

    def _log_epoch(self) -> None:
        """Log an epoch; ultralytics itself writes to the console alone."""
        found = {name: round(float(value), 4) for name, value in self.metrics.items()}
        log_epoch(self.epoch + 1, self.epochs, found)


def load_state(path: Path, device: torch.device | str = "cpu") -> dict:
    """Return a saved state; see `Trainer.save_model`."""
    return torch.load(path, weights_only=True, map_location=device)
