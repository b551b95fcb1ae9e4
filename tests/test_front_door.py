"""What a reader of the README meets first: the names of the package, and the commands and loops that are shown."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import curvecast
from curvecast.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def shown(language: str) -> list[str]:
    """The README's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Its lines that call curvecast and end by themselves, without their comments."""
    lines = [line.split("#")[0].strip() for block in shown("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("curvecast") and not line.startswith("curvecast watch")]


def call(line: str) -> Result:
    _, *arguments = shlex.split(line)
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where the folders stand that the README speaks of: runs of three sizes at a constant learning rate."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").symlink_to(Path(__file__).parents[1] / "benchmarks")
    for size in (1e6, 4e6, 16e6):
        for place in ("runs", "runs/finished", "runs/small", "runs/large"):
            run = tmp_path / place / f"{size:.0f}"
            run.mkdir(parents=True)
            lower = 1.7 + 60.0 * size**-0.3
            table = [f"{step},{lower + 30.0 * (1e4 * step) ** -0.3},0.001" for step in range(20, 8001, 20)]
            (run / "metrics.csv").write_text("\n".join(["step,train_loss,lr", *table]))
            (run / "curvecast.json").write_text(f'{{"schema": 1, "num_params": {size}, "batch_tokens": 10000}}')
    return tmp_path


def test_all_is_sorted_and_complete() -> None:
    assert curvecast.__all__ == sorted(curvecast.__all__)
    assert set(curvecast._HOME) == set(curvecast.__all__)
    for name in curvecast.__all__:
        assert getattr(curvecast, name).__doc__, name


def test_the_loop_of_the_readme_runs() -> None:
    (loop,) = (block for block in shown("python") if "train_one_step" in block)
    steps = iter(range(1, 20_001))
    names = {"train_one_step": lambda: 2.0 + 3.0 * next(steps) ** -0.5}
    exec(loop.replace("20_00", "2_00"), names)  # a tenth of the way
    watcher = names["watcher"]
    assert isinstance(watcher, curvecast.Watcher)
    assert watcher.step == 2000
    assert np.isfinite(watcher.forecast().median)


def test_the_first_table_of_the_readme_is_what_its_command_prints(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (table,) = (block.splitlines() for block in shown("text"))
    monkeypatch.setenv("COLUMNS", "80")
    (first,) = (line for line in commands() if "--until" in line)
    printed = call(first).stdout.splitlines()
    assert [line.split()[:3] for line in printed] == [line.split()[:3] for line in table]
    medians = ([float(line.split()[3]) for line in lines[1:]] for lines in (printed, table))
    assert next(medians) == pytest.approx(next(medians), rel=0.02)  # a prior that is fitted anew may move them a little


def test_the_commands_of_the_readme_run_in_their_order(folder: Path) -> None:
    assert len(commands()) >= 7
    for line in commands():
        done = call(line)
        assert done.exit_code in ((0, 1) if "--fail-on" in line else (0,)), f"{line}\n{done.output}"
    for name in ("report.html", "prior.json", "family.json"):
        assert (folder / name).stat().st_size


def test_what_fit_and_learn_leave_among_the_runs_is_taken_for_no_run(folder: Path) -> None:
    assert call("curvecast fit runs/small --bootstraps 0 -o runs/small/family.json").exit_code == 0
    assert call("curvecast learn runs/small -o runs/small/prior.json").exit_code == 0
    done = call("curvecast analyze runs/small --format csv -o runs/small/results.jsonl")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1 + 3
    again = call("curvecast analyze runs/small")
    assert not any(name in done.stderr + again.stderr for name in ("family", "prior"))


def test_every_law_of_the_docs_is_there_and_what_they_show_runs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "laws.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `(\w+)\.(\w+)`((?:, `\w+`)*) \|", page)
    assert len(named) >= 15
    for module, first, others in named:
        for name in (first, *re.findall(r"\w+", others)):
            assert hasattr(getattr(curvecast.laws, module), name), f"{module}.{name}"
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(example, {})


def test_who_looks_for_a_command_in_python_is_told_what_does_it() -> None:
    names = [name for name in main.commands if not hasattr(curvecast, name)]
    assert "analyze" in names
    for name in names:
        with pytest.raises(
            AttributeError, match=rf"`curvecast {name}` is a command of the shell\. In Python .*curvecast\."
        ):
            getattr(curvecast, name)


def test_the_package_runs_as_a_module() -> None:
    asked = [sys.executable, "-m", "curvecast", "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout == f"curvecast, version {curvecast.__version__}\n"


def test_a_verdict_prints_its_sentence_and_a_notebook_shows_what_can_be_done_too() -> None:
    watcher = curvecast.Watcher(horizon=1000)
    assert watcher._repr_html_() == f"<p>{watcher.verdict}</p>"
    for step in range(1, 301):
        verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert str(verdict) == verdict.message
    page = watcher._repr_html_()
    assert page.startswith(f"<p>{verdict.message}</p><ul><li>stop here: ")
    assert page.count("<li>") == len(verdict.choices) >= 2
    told = replace(verdict, words="the loss < 0", should_stop=True)
    assert told._repr_html_() == "<p>the loss &lt; 0</p>"
