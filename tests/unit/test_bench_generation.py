"""The benchmark of generation draws with every side, and writes its page."""

import sys

import pytest

from conftest import ROOT

torch = pytest.importorskip("torch")

sys.path.insert(0, str(ROOT / "tools"))
import bench_generation as bench  # noqa: E402

from cia.generation import drawing  # noqa: E402


@pytest.fixture(scope="module")
def model(small_model):
    return small_model("sd15")


@pytest.fixture(autouse=True)
def flags():
    """Sides set flags of the whole process."""
    before = torch.backends.cudnn.deterministic
    yield
    torch.backends.cudnn.deterministic = before


def case_of(model, sides, batch=1, **changes):
    case = {"family": "sd15", "dtype": "float32", "networks": "eager", "steps": 2, "guidance": 7.5}
    others = {"side": 32, "rounds": 1, "seconds": 0.1, "threads": 1, "model": str(model)}
    return {**case, **others, "batch": batch, "sides": sides, **changes}


@pytest.fixture(scope="module")
def measured(model):
    """Cases with what was measured of them: batches of 1 and 2, ours and the plain loop."""
    found = []
    for batch in (1, 2):
        sides = {side: bench.measure(case_of(model, [side], batch)) for side in ("ours", "plain")}
        whole = {
            name: {**sides["ours"][name], **sides["plain"][name]}
            for name in ("seconds", "gigabytes", "stages")
        }
        found.append({**case_of(model, ["ours", "plain"], batch), **whole, "out_of_memory": []})
    return found


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU runs all sides in one process")
def test_the_stages_of_ours_add_up(measured):
    for case in measured:
        stages, whole = case["stages"], case["seconds"]["ours"]
        assert set(stages) == set(bench.STAGES) and min(stages.values()) > 0
        drawn = sum(stages[name] for name in bench.STAGES if name != "png")
        assert drawn == pytest.approx(whole)
        assert stages["denoising"] > stages["text"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU runs all sides in one process")
def test_tables_compare_the_sides(measured):
    one, two = (bench.speed_table(measured).splitlines()[number] for number in (2, 3))
    seconds = measured[1]["seconds"]
    assert f"| {seconds['plain'] / seconds['ours']:.2f} |" in two
    alone = measured[0]["seconds"]["plain"]
    assert f"| {1 / alone:.3g} | {alone / seconds['ours']:.2f} |" in two, "one at a time"
    assert one.startswith("| sd15, 32x32 | float32 | 2, 7.5 | 1 | eager |")
    assert len(bench.stage_table(measured).splitlines()) == 4


def test_ours_draws_in_the_batch_that_is_measured(model, monkeypatch):
    counts, paint = [], drawing.Painter.paint

    def counted(painter, rows, maps):
        counts.append(len(rows))
        return paint(painter, rows, maps)

    monkeypatch.setattr(drawing.Painter, "paint", counted)
    bench.measure(case_of(model, ["ours"], 3))
    assert set(counts) == {3}


def test_a_batch_that_does_not_fit_is_not_measured_as_a_smaller_one(model, monkeypatch):
    def full(painter, rows, maps):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(drawing.Painter, "paint", full)
    case = case_of(model, ["ours"], 2)
    found = bench.measure(case)
    assert found["out_of_memory"] == ["ours"] and not found["seconds"]
    assert "| out of memory |" in bench.speed_table([{**case, **found}])


def test_rounds_of_all_sides_in_one_process(model, tmp_path):
    """As on a GPU, but for what needs one: memory, compiled networks, offloading."""
    case = case_of(model, ["ours", "plain"], 2, seconds=0.0, rounds=3)
    sides = {name: bench.SIDES[name](case) for name in case["sides"]}
    times, found = [], bench.Bench(case, sides, {"ours": 0, "plain": 0}, tmp_path)
    timed = found._time
    found._time = lambda name, images: times.append((name, images)) or timed(name, images)
    measured = found.on_gpu()
    warm = [("ours", 2)] * 2 + [("plain", 2)] * 2
    rounds = [(name, 4) for name in ("ours", "plain", "plain", "ours", "ours", "plain", "ours")]
    assert times == warm + rounds
    assert set(measured["seconds"]) == {"ours", "plain"} and set(measured["stages"])


def test_each_kind_of_device_has_its_part_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "generation-speed.md").read_text())
    bench.write(page, "cpu", "| a table |", "a machine")
    bench.write(page, "cuda", "| another table |", "a GPU")
    bench.write(page, "cpu", "| a new table |", "a machine")
    text = page.read_text()
    assert "| a table |" not in text
    assert text.index("| another table |") < text.index("| a new table |")
    assert text.count("Measured on a machine.") == 1
