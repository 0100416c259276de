"""The README's commands and examples are the ones that run."""

import re
import shlex
from pathlib import Path

import pytest

from fedlab_widgets import catalogue, cli
from fedlab_widgets.part import _CATALOGUE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = [line.split("#")[0].strip() for block in re.findall(r"```sh\n(.*?)```", README, re.S)
            for line in block.splitlines() if line.startswith("fedlab run")]


def test_the_first_line_says_what_this_is_not():
    assert "not the FedLab simulator" in README.splitlines()[0]


def test_ci_calls_exactly_the_readmes_test_command():
    command = "python -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest"
    assert command in README.splitlines()
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


def test_the_first_command_is_there():
    assert "python -m venv .venv && .venv/bin/pip install . && .venv/bin/fedlab lab" in README.splitlines()


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_run(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {slot: dict(shelf) for slot, shelf in catalogue().items()}
    try:
        exec(compile(BLOCKS[number], f"README example {number + 1}", "exec"), {"__name__": "__main__"})
    finally:
        _CATALOGUE.clear()
        _CATALOGUE.update(before)
    runs = list(tmp_path.glob("runs/*/events.jsonl"))
    assert len(runs) == 1 and '"reason":"finished"' in runs[0].read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    words = shlex.split(command)[2:]
    what = words.pop(0) if words and not words[0].startswith("--") else "fedavg"
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert cli.read(what, sets, None).rounds >= 1


def test_there_are_examples_and_commands():
    assert len(BLOCKS) >= 2 and len(COMMANDS) >= 3
