"""What jobs log of their progress is read back, summed over shards and shown."""

import io
import logging
import time

import pytest

from cia.progress import QUIET_JOBS, LoggedProgress, Progress, log_epoch, read_progress
from cia.runtime import monitor
from cia.runtime.monitor import Monitor, Steps, clock

GENERATE = {"dataset": "digits", "generator": "canny"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(tmp_path):
    """A job's log, written by the handler that jobs use."""
    handler = logging.FileHandler(tmp_path / "job.log", mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("cia")
    before = logger.level
    logger.setLevel(logging.INFO)  # not `level =`, which forgets no answer that was given before
    logger.addHandler(handler)
    yield tmp_path / "job.log"
    logger.removeHandler(handler)
    logger.setLevel(before)
    handler.close()


@pytest.fixture
def snakemake_logger():
    """A logger such as Snakemake's, with a handler that writes to the screen."""

    def make(stream):
        logger = logging.Logger("snakemake", logging.INFO)
        logger.addHandler(logging.StreamHandler(stream))
        made.append(logger)
        return logger

    made = []
    yield make
    for logger in made:
        for handler in list(logger.handlers):
            handler.close()


def begin(steps, id_, path, shard, plan):
    steps.begin(id_, "generate", {**GENERATE, "shard": shard}, [str(path)], [str(plan)])


def write_log(path, *lines):
    path.write_text("".join(f"10:00:00 INFO {line}\n" for line in lines))


def write_plan(path, rows):
    path.write_text("id,prompt\n" + "".join(f'{row},"two\nlines"\n' for row in range(rows)))
    return path


def test_what_a_job_logs_is_read_back(log):
    progress = Progress(50, "images", interval=0, there=10)
    progress.log()
    assert read_progress(log) == LoggedProgress(10, 50, "images", 0.0)
    time.sleep(0.01)
    progress.add(15)
    read = read_progress(log)
    assert read[:3] == (25, 50, "images") and 0 < read.rate < 15 / 0.01
    logging.getLogger("cia").info("3 of 4 things were fine")
    assert read_progress(log) == read
    log_epoch(3, 20, {"loss": 1.0})
    assert read_progress(log)[:3] == (3, 20, "epochs")


def test_the_latest_of_a_long_log_is_read_and_an_empty_one_says_nothing(tmp_path):
    path = tmp_path / "long.log"
    write_log(path, *(f"{done} of 9999 pictures, 2.5/s, 9 s left" for done in range(5000)))
    assert read_progress(path) == LoggedProgress(4999, 9999, "pictures", 2.5)
    path.write_text("")
    assert read_progress(path) is None


def test_slow_rates_keep_digits(log):
    progress = Progress(10, "images", interval=0)
    progress.start -= 100
    progress.add(1)
    assert read_progress(log).rate == pytest.approx(0.01, rel=0.01)


def test_images_are_summed_over_shards_with_rate_and_time_left(tmp_path):
    plan = write_plan(tmp_path / "plan.csv", 200)
    steps = Steps([("generate", {**GENERATE, "shard": shard}) for shard in range(4)], 4)
    for shard in range(2):
        begin(steps, shard, tmp_path / f"{shard}.log", shard, plan)
    write_log(tmp_path / "0.log", "20 of 60 images, 3.0/s, 13 s left")
    write_log(tmp_path / "1.log", "30 of 40 images, 1.5/s, 7 s left")
    assert steps.look() == "generate digits/canny 50 of 200 images, 4.5/s, 0:33 left · 0 of 4 jobs"
    assert steps.finish(0) == []
    assert steps.look() == "generate digits/canny 90 of 200 images, 1.5/s, 1:13 left · 1 of 4 jobs"


def test_images_that_an_earlier_run_made_are_done(tmp_path):
    plan = write_plan(tmp_path / "plan.csv", 200)
    steps = Steps([("generate", {**GENERATE, "shard": 3})], 4)
    begin(steps, 7, tmp_path / "3.log", 3, plan)
    write_log(tmp_path / "3.log", "20 of 60 images, 3.0/s, 13 s left")
    assert "160 of 200 images" in steps.look()


def test_without_a_list_of_jobs_the_shards_that_run_are_counted(tmp_path):
    plan = write_plan(tmp_path / "plan.csv", 200)
    steps = Steps([], 4)
    begin(steps, 1, tmp_path / "1.log", 1, plan)
    write_log(tmp_path / "1.log", "20 of 60 images, 3.0/s, 13 s left")
    assert steps.look() == "generate digits/canny 20 of 60 images, 3.0/s, 0:13 left · 0 jobs"


def test_a_log_that_an_earlier_run_left_says_nothing(tmp_path):
    plan = write_plan(tmp_path / "plan.csv", 60)
    steps = Steps([("generate", {**GENERATE, "shard": 0})], 1)
    write_log(tmp_path / "0.log", "60 of 60 images, 3.0/s in 20.0 s")
    begin(steps, 0, tmp_path / "0.log", 0, plan)
    assert "0 of 60 images" in steps.look()


def test_models_are_counted_and_each_is_told_with_its_warnings(tmp_path):
    path = tmp_path / "train.log"
    steps = Steps([("train", {"trainer": "resnet", "seed": seed}) for seed in range(2)])
    steps.begin(0, "train", {"trainer": "resnet", "seed": 0}, [str(path)], [])
    assert steps.look() == "train 0 of 2 models · 0 of 2 jobs"
    path.write_text("10:00:00 WARNING few\n10:00:00 INFO not a WARNING \n")
    assert steps.look() == "train 0 of 2 models · 0 of 2 jobs"
    assert steps.finish(0) == [f"train resnet/0: done in 0:00 (1 warning: {path})"]


def test_trainings_show_their_epochs(tmp_path):
    steps = Steps([("train", {"seed": seed}) for seed in range(3)])
    for seed in range(2):
        steps.begin(seed, "train", {"seed": seed}, [str(tmp_path / f"{seed}.log")], [])
    write_epoch(tmp_path / "0.log", 4)
    assert steps.look() == "train 0 of 3 models (epoch 4 of 10) · 0 of 3 jobs"
    write_epoch(tmp_path / "1.log", 7)
    assert steps.look() == "train 0 of 3 models (epochs 4 to 7 of 10) · 0 of 3 jobs"


def write_epoch(path, epoch: int) -> None:
    path.write_text(f"10:00:00 INFO epoch {epoch} of 10: {{'val_macro_f1': 0.5}}\n")


def test_the_time_left_goes_by_what_jobs_of_each_rule_took():
    steps = Steps([("scan", {"split": n}) for n in range(4)] + [("train", {"seed": 0})] * 2)
    steps.start -= 100
    for id_, (rule, seconds) in enumerate([("scan", 10)] * 3 + [("train", 70)]):
        steps.begin(id_, rule, {}, [], [])
        steps._of(id_).running[id_].start -= seconds
        steps.finish(id_)
    assert steps.seconds_left() == pytest.approx(80, rel=0.01)


@pytest.mark.parametrize("seconds, text", [(0.4, "0:00"), (13, "0:13"), (380, "6:20")])
def test_durations_are_written_as_clocks_do(seconds, text):
    assert clock(seconds) == text
    assert clock(3723) == "1:02:03"


def test_the_text_of_jobs_gives_way_and_errors_do_not(snakemake_logger, monkeypatch):
    monkeypatch.delenv(QUIET_JOBS, raising=False)
    stream = io.StringIO()
    logger = snakemake_logger(stream)
    shown = monitor.start(logger, [("scan", {"dataset": "digits"})])
    logger.info("rule scan:", extra=event("job_info", 3, rule_name="scan"))
    logger.info("Select jobs to execute...")
    logger.info("Something else")
    logger.error("Error in rule scan", extra=event("job_error", 3))
    logger.info("Finished jobid: 3", extra={"event": "job_finished", "job_id": 3})
    shown.close()
    logger.info("1 of 1 steps (100%) done", extra={"event": "progress"})
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if not line.startswith("[")] == [
        "Something else",
        "Error in rule scan",
        "1 of 1 steps (100%) done",  # Snakemake has its screen back
    ]
    (failed,) = [line for line in lines if line.startswith("[")]
    assert failed.endswith("scan digits: FAILED after 0:00; log: logs/scan.log")


def event(name, id_, **fields):
    fields |= {"wildcards": {"dataset": "digits"}, "log": ["logs/scan.log"], "input": []}
    return {"event": name, "jobid": id_, **fields}


def test_on_a_terminal_a_line_is_rewritten_in_place_and_gives_way(snakemake_logger, monkeypatch):
    monkeypatch.setattr(monitor, "ON_SCREEN", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    logger = snakemake_logger(stream)
    shown = monitor.start(logger, [("scan", {"dataset": "digits" * 20})] * 2)
    logger.info("", extra=event("job_info", 3, rule_name="scan"))
    deadline = time.monotonic() + 10
    while "scan" not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    logger.warning("Look out")
    shown.close()
    before, _, after = stream.getvalue().partition("Look out\n")
    assert before.endswith("\r\x1b[K")
    line = before.split("\r\x1b[K")[-2]
    assert line.startswith("scan digits") and line.endswith(" · 0 of 2 jobs") and len(line) < 60
    assert after.endswith("\r\x1b[K") or not after


def test_a_fault_gives_the_screen_back_and_the_run_goes_on(snakemake_logger, monkeypatch):
    stream = io.StringIO()
    logger = snakemake_logger(stream)
    shown = monitor.start(logger, [("scan", {})])
    logger.info("of another Snakemake", extra={"event": "job_info"})
    logger.info("rule scan:", extra={"event": "job_info"})
    shown.close()
    assert "No more progress is shown (AttributeError" in stream.getvalue()
    assert stream.getvalue().endswith("rule scan:\n")


def test_a_pipe_that_nobody_reads_ends_it_quietly(snakemake_logger):
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    logger = snakemake_logger(Broken())
    shown = monitor.start(logger, [("scan", {"dataset": "digits"})])
    logger.info("", extra=event("job_info", 3, rule_name="scan"))
    logger.info("", extra={"event": "job_finished", "job_id": 3})
    shown.close()
    assert not shown._thread.is_alive()


def test_letters_that_a_stream_lacks_are_replaced():
    raw = io.BytesIO()
    line = monitor._Line(io.TextIOWrapper(raw, encoding="ascii"))
    line.show("scan digits · 0 of 2 jobs")
    assert raw.getvalue() == b"scan digits | 0 of 2 jobs\n"


def test_who_wants_the_text_of_jobs_or_none_gets_it(snakemake_logger, monkeypatch):
    logger = snakemake_logger(io.StringIO())
    monkeypatch.setenv("CIA_PROGRESS", "off")
    assert monitor.start(logger) is None
    monkeypatch.delenv("CIA_PROGRESS")
    logger.handlers[0].addFilter(lambda record: getattr(record, "event", None) != "progress")
    assert monitor.start(logger) is None  # --quiet progress
    logger.setLevel(logging.DEBUG)
    assert monitor.start(snakemake_logger(io.StringIO())) is not None
    logger.removeHandler(logger.handlers[0])
    assert monitor.start(logger) is None
    logger.setLevel(logging.INFO)
    assert monitor.start(logger) is None  # a logger plugin writes to the screen
    assert not any(isinstance(handler, Monitor) for handler in logger.handlers)
