"""The suite's own logic: what it compares, when it calls a figure reached, and the page that it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import figures, report, steps
from tests.benchmarks.figures import FIGURES, MEMORY
from tests.benchmarks.jobs import Tools, groups
from tests.benchmarks.measure import Job, Results, Runs, measure, run_once

CHILD = (sys.executable, "-I", "-S", "-c")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Path(sys.executable), tmp_path / "analyze-migration.py", tmp_path)


def runs_of(seconds: float, memory: int = 1_000_000) -> Runs:
    return Runs([seconds] * 3, [seconds] * 3, [memory] * 3)


def test_each_job_has_a_name_of_its_own_and_stands_beside_one_of_its_group(tools: Tools) -> None:
    keys = [job.key for group in groups(tools, large=True) for job in group]
    assert len(keys) == len(set(keys))
    for group in groups(tools, large=True):
        there = {job.key for job in group}
        assert {(job.input, job.beside) for job in group if job.beside} <= there


def test_each_figure_compares_jobs_that_are_run_in_turns(tools: Tools) -> None:
    made = [{job.key for job in group} for group in groups(tools, large=True)]
    for figure in FIGURES:
        assert any({figure.top, figure.bottom or figure.top} <= keys for keys in made), figure.words


def test_without_4_and_8_gib_no_job_reads_more_than_1_gib(tools: Tools) -> None:
    read = [each for group in groups(tools, large=False) for job in group for each in job.reads]
    assert max(each.ram for each in read) == 1024


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.words)
def test_a_figure_is_reached_at_its_bound_and_not_beyond(figure: figures.Figure) -> None:
    worse = 0.99 if figure.at_least else 1.01
    for factor, reached in ((1.0, True), (worse, False)):
        results: Results = {figure.bottom: runs_of(1.0)} if figure.bottom else {}
        unit = 1.0 if figure.bottom else figure.count / 1000
        results[figure.top] = runs_of(figure.bound * factor * unit)
        found = {each.words: each.reached for each in figures.outcomes(results, [])}
        assert found[figure.words] == reached


@pytest.mark.parametrize(("peak", "reached"), [(MEMORY - 1, True), (MEMORY, False)])
def test_the_memory_that_counts_is_the_most_that_msixtool_takes(peak: int, reached: bool) -> None:
    jobs = [Job("a", "cheap", ()), Job("a", "dear", ()), Job("a", "the script", (), ours=False)]
    results = {("a", "cheap"): runs_of(1.0), ("a", "dear"): runs_of(1.0, peak)}
    results["a", "the script"] = runs_of(1.0, 10 * MEMORY)
    (outcome,) = figures.outcomes(results, jobs)
    assert (outcome.reached, "dear" in outcome.words) == (reached, True)


def test_jobs_are_run_in_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    jobs = [Job("a", name, (*CHILD, "")) for name in ("one", "two")]
    results = measure(jobs, 2, order.append)
    assert [words.split(",")[0] for words in order] == ["a: one", "a: two"] * 3
    assert [len(results[job.key].seconds) for job in jobs] == [2, 2]


def test_the_peak_of_memory_is_the_childs_own() -> None:
    small = run_once(Job("a", "small", (*CHILD, "")))[2]
    large = run_once(Job("a", "large", (*CHILD, "bytearray(64 << 20)")))[2]
    assert 60 << 20 < large - small < 68 << 20


def test_what_a_job_reads_through_a_pipe_and_writes(tmp_path: Path) -> None:
    piped, output = tmp_path / "piped", tmp_path / "output"
    piped.write_bytes(b"abc")
    code = f"import sys; sys.exit(open({str(output)!r}, 'w').write(sys.stdin.read()))"
    run_once(Job("a", "copy", (*CHILD, code), piped=piped, output=output, statuses=(3,)))
    assert not output.exists()


def test_a_command_that_fails_stops_the_suite() -> None:
    with pytest.raises(subprocess.CalledProcessError, match="exit status 1"):
        run_once(Job("a", "fails", (*CHILD, "raise SystemExit(1)")))


@pytest.mark.parametrize(("what", "number"), [("whole", 2), ("reading", 3)])
def test_the_steps_of_inspect_are_timed_in_a_fresh_interpreter(what: str, number: int, sample: Path) -> None:
    command = [sys.executable, steps.__file__, what, str(sample)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = [float(word) for word in run.stdout.split()]
    assert (len(seconds), run.stderr) == (number, "")
    assert all(each > 0 for each in seconds)


def test_steps_are_rows_and_inputs_are_columns() -> None:
    sheet = report.where(["8 MiB", "8 GiB"], ["open", "print"], [[0.001, 0.002], [0.003, 0.004]])
    assert sheet.columns == ("Step", "8 MiB", "8 GiB")
    assert sheet.rows == [("open", "1.0", "3.0"), ("print", "2.0", "4.0")]


def test_the_tables_take_the_place_of_the_last_ones_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    job = Job("8 MiB", "inspect", (), beside="the script")
    results = {job.key: runs_of(0.5), ("8 MiB", "the script"): runs_of(2.0)}
    text = report.markdown([report.measurements(results, [job])], [("Machine", "this one")])
    report.write(page, text)
    report.write(page, text)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == ("above", report.BEGIN, report.END, "below")
    assert lines[2:-2] == [
        "- Machine: this one",
        "",
        "### Measured",
        "",
        "| Input | Command | Median s | Least s | CPU s | Peak MB | Times as fast as |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        "| 8 MiB | inspect | 0.500 | 0.500 | 0.500 | 1.0 | the script 4.00 |",
    ]


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    with pytest.raises(ValueError, match="expected <!-- benchmarks -->"):
        report.write(page, "tables")
    assert page.read_text() == "no marks\n"
