"""The run folder: `spec.json`, `events.jsonl`, `snapshot.safetensors`, and what a resume elsewhere needs. No pickle.

Every event is one line, written and handed to the operating system before the next round starts; a snapshot replaces
the one before it in a single rename. So a process may die at any moment: at worst the last line is torn.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError

from . import events, tensorfile
from .events import Event
from .part import BadInput, DiskProblem, Spec
from .spec import SCHEMA, Experiment
from .tasks import arrays
from .types import Memory, State, Table, chunks_of

SPEC, EVENTS, SNAPSHOT, DATA, SOURCES = ("spec.json", "events.jsonl", "snapshot.safetensors", "data.safetensors",
                                        "sources.json")
ROWS = 1000         # client rows that are read from a snapshot at a time
LARGEST_COPY = 50 * 2**20   # bytes of a user's rows that a run folder keeps a copy of, where the task allows one


class RunFolder:
    """A folder on disk that holds one run. `create` makes it, `open` reads one that is there."""

    def __init__(self, path: Path):
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, experiment: Experiment) -> RunFolder:
        """A new folder with the spec in it. Raises BadInput when something is there already."""
        folder = cls(path)
        folder.must_be_new()
        try:
            folder.path.mkdir(parents=True)
            folder._write(SPEC, [experiment.to_json().encode()])
            if isinstance(experiment.task, arrays.Arrays) and experiment.task.keep_rows:
                rows = arrays.rows_of(experiment.task)
                if sum(a.nbytes for a in rows.values()) <= LARGEST_COPY:
                    tensors = {name: torch.from_numpy(a) for name, a in rows.items()}
                    folder._write(DATA, tensorfile.pieces(tensors, {"digest": _digest(tensors)}))
            sources = _sources(experiment)
            if sources:
                folder._write(SOURCES, [json.dumps(sources, indent=2).encode()])
        except OSError as error:
            shutil.rmtree(folder.path, ignore_errors=True)   # half a folder could be neither run into nor resumed
            raise folder._problem(error) from None
        return folder

    def must_be_new(self) -> None:
        if self.path.exists():
            raise BadInput(f"out = {str(self.path)!r} is there already, and a run never overwrites one; give another "
                           "folder, or continue that run with fedlab resume")

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Raises BadInput when the path holds no run."""
        if not (Path(path) / SPEC).is_file():
            raise BadInput(f"{str(path)!r} holds no run: there is no {SPEC} in it; give the folder that fedlab run "
                           "wrote")
        return cls(Path(path))

    def experiment(self) -> Experiment:
        """The spec. Raises BadInput when it is damaged, newer, or names a part that is not defined here."""
        if (self.path / DATA).is_file():
            self._bring_back_rows()
        try:
            return Experiment.from_json(self._read(SPEC))
        except BadInput as error:
            raise BadInput(f"{self.path / SPEC}: {error}{self._own_parts()}") from None

    def _own_parts(self) -> str:
        try:
            names = ", ".join(json.loads((self.path / SOURCES).read_bytes()))
        except (OSError, ValueError):
            return ""   # the usual case: there are none
        return f" Parts of your own must be defined first: the source of {names} is kept in {self.path / SOURCES}"

    def _bring_back_rows(self) -> None:
        try:
            task = json.loads(self._read(SPEC))["task"]
            if task.pop("part") != arrays.Arrays.name:
                return
            task = arrays.Arrays(**task)
        except (ValueError, KeyError, TypeError, AttributeError):
            return   # `experiment` says what is wrong with the spec
        try:
            tensors, about = self._tensors(DATA)
            if about["digest"] != _digest(tensors):
                raise ValueError("its checksum is wrong")
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{self.path / DATA} is damaged ({error}); restore it from a copy, or delete it and call "
                           f"{task.made_by} first") from None
        arrays.put_rows(task, {name: t.clone().numpy() for name, t in tensors.items()})

    def record(self, event: Event) -> None:
        """Append one event. Raises DiskProblem when it cannot be written; the lines before it stay whole."""
        try:
            with (self.path / EVENTS).open("ab") as file:
                file.write(event.to_json().encode() + b"\n")
        except OSError as error:
            raise self._problem(error) from None

    def events(self) -> list[Event]:
        """All recorded events. A torn last line is left out; any other damage raises BadInput with its line."""
        found = []
        path = self.path / EVENTS
        lines = self._read(EVENTS).split(b"\n") if path.is_file() else [b""]
        for number, line in enumerate(lines[:-1], 1):   # what follows the last line end is torn, or nothing
            try:
                found.append(events.from_json(line.decode()))
            except ValueError as error:
                raise BadInput(f"{path} is damaged in line {number} ({error}); restore it from a copy, or delete that "
                               f"line, those after it and {SNAPSHOT}: fedlab resume computes them again") from None
        return found

    def drop_torn_line(self) -> None:
        """Cut what a killed process left of a line, so that the next event starts on a new one."""
        path = self.path / EVENTS
        if path.is_file():
            whole = self._read(EVENTS).rfind(b"\n") + 1
            try:
                with path.open("r+b") as file:
                    file.truncate(whole)
            except OSError as error:
                raise self._problem(error) from None

    def keep(self, state: State) -> None:
        """Replace the snapshot by this state: on disk before the old one goes. Raises DiskProblem."""
        tensors = {k: t.cpu().contiguous() for k, t in flatten(state).items()}
        about = {"schema": str(SCHEMA), "round": str(state.round), "time": repr(state.time), "trips": str(state.trips),
                 "events": str(self._lines()), "digest": _digest(tensors)}
        try:
            with (self.path / EVENTS).open("ab") as file:
                os.fsync(file.fileno())   # events before the state that follows from them
            self._write(SNAPSHOT, tensorfile.pieces(tensors, about))
        except OSError as error:
            raise self._problem(error) from None

    def snapshot(self, blank: State) -> State | None:
        """The kept state in the shape of `blank` (the state before the first round); None when there is none.

        Raises BadInput when the file is damaged or newer.
        """
        path = self.path / SNAPSHOT
        if not path.is_file():
            return None
        try:
            tensors, about = self._tensors(SNAPSHOT)
            if int(about["schema"]) > SCHEMA:
                raise BadInput(f"{path} was written by a newer FedLab Widgets (version {about['schema']}, and this one "
                               f"reads versions 1 to {SCHEMA}); update it")
            if about["digest"] != _digest(tensors):
                raise ValueError("its checksum is wrong")
            if int(about["events"]) > self._lines():   # a resume would leave a gap in the record
                raise ValueError(f"it follows {about['events']} events, and {self._lines()} of them are recorded")
            return unflatten(tensors, about, blank)
        except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{path} is damaged ({error}); delete it, and the run is computed again from the start and "
                           "held against what was recorded") from None

    def _lines(self) -> int:
        return self._read(EVENTS).count(b"\n") if (self.path / EVENTS).is_file() else 0

    def _write(self, name: str, content: Iterable[bytes | memoryview]) -> None:
        """Write a file whole or not at all."""
        draft = self.path / (name + ".part")
        try:
            with draft.open("wb") as file:
                for piece in content:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path / name)
        except OSError:
            draft.unlink(missing_ok=True)   # on a full disk half a snapshot takes the room that events need
            raise

    def _read(self, name: str) -> bytes:
        """Raises BadInput for a file that is not there or may not be read."""
        return self._opened(name, Path.read_bytes)

    def _tensors(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """The same of a file of tensors. Raises SafetensorError when it is none."""
        return self._opened(name, tensorfile.read)

    def _opened(self, name: str, how: Callable):
        try:
            return how(self.path / name)
        except OSError as error:
            raise BadInput(f"{self.path / name} cannot be read ({error.strerror}); check the folder and its "
                           "permissions") from None

    def _problem(self, error: OSError) -> DiskProblem:
        return DiskProblem.of(error, self.path, "make room or give another folder with out=")


def flatten(state: State) -> dict[str, torch.Tensor]:
    """The tensors of a state by path; of tables only the rows ever touched."""
    flat = {"model": state.model}
    tables = {"own": state.own} if state.own is not None else {}
    for place, memory in state.memory.items():
        flat |= {f"memory/{place}/shared/{name}": t for name, t in memory.shared.items()}
        tables |= {f"memory/{place}/own/{name}": t for name, t in memory.own.items()}
    for path, table in tables.items():
        flat |= {f"{path}/ids": table.ids, f"{path}/rows": table.touched}
    return flat


def unflatten(tensors: dict[str, torch.Tensor], about: dict[str, str], blank: State) -> State:
    """The inverse of `flatten`, a copy on the device of `blank`. Raises ValueError when names or shapes differ."""
    def checked(path: str, like: torch.Tensor, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        if path not in tensors or tensors[path].shape != shape or tensors[path].dtype != like.dtype:
            raise ValueError(f"{path} is missing or has another shape than the experiment in {SPEC} needs")
        return tensors[path]

    def tensor(path: str, like: torch.Tensor, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        return checked(path, like, shape).to(like.device, copy=True)

    def table(path: str, like: Table) -> Table:
        fresh, count = Table(len(like.place), like.fill), len(tensors.get(f"{path}/ids", ()))
        ids = tensor(f"{path}/ids", like.ids, (count,))
        rows = checked(f"{path}/rows", like.fill, (count, *like.fill.shape))
        for some in chunks_of(count, ROWS):   # of a file they come into memory as they are read
            fresh.scatter(ids[some], rows[some].to(like.fill.device))
        return fresh

    memory = {place: Memory({n: table(f"memory/{place}/own/{n}", t) for n, t in m.own.items()},
                            {n: tensor(f"memory/{place}/shared/{n}", t, t.shape) for n, t in m.shared.items()})
              for place, m in blank.memory.items()}
    own = None if blank.own is None else table("own", blank.own)
    return State(tensor("model", blank.model, blank.model.shape), own, memory, int(about["round"]),
                 float(about["time"]), int(about["trips"]))


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, t in sorted(tensors.items()):
        digest.update(f"{name}{tuple(t.shape)}{t.dtype}".encode())
        digest.update(tensorfile.bytes_of(t))
    return digest.hexdigest()


def _sources(value) -> dict[str, str]:
    """The source of every part that was defined in a cell or script, by slot and name."""
    if isinstance(value, tuple):
        return {k: v for item in value for k, v in _sources(item).items()}
    if not isinstance(value, Spec):
        return {}
    found = {}
    if type(value).__module__ == "__main__":
        try:
            found[f"{value.slot}.{value.name}"] = inspect.getsource(type(value))
        except (OSError, TypeError):
            found[f"{value.slot}.{value.name}"] = "(the source could not be read)"
    for field in type(value).model_fields:
        found |= _sources(getattr(value, field))
    return found
