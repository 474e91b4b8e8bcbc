"""One run at a time, in a thread of its own: live, then simulated, then compared. Whoever serves pages asks how far it has come."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread

from priomon_core.errors import PriomonError
from priomon_node.experiment.switch import ConflictError
from priomon_node.orchestrator.live import SILENCE, LiveRun, Member, check
from priomon_node.orchestrator.progress import Phase, Progress
from priomon_node.orchestrator.recruit import StoppedError
from priomon_node.orchestrator.validation import database, validate
from priomon_node.view import endpoint
from priomon_results.files import OutputError
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.scenario.document import Scenario, load

Say = Callable[[str], None]
Recruit = Callable[[Scenario, Say, Event], AbstractContextManager[Sequence[Member]]]


class Runs:
    """The runs of an orchestrator. `recruit` provides the agents of one run; results go to folders in `results`; `echo` gets the log."""

    def __init__(self, results: Path, recruit: Recruit, echo: Say = lambda line: None) -> None:
        self.progress = Progress()
        self._results = results
        self._recruit = recruit
        self._echo = echo
        self._starting = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self._live: LiveRun | None = None
        self._unheard: set[int] = set()

    def start(self, path: Path, overrides: Sequence[tuple[str, str]] = ()) -> Progress:
        """Begin to run the scenario in a file, with settings changed as by `--set`; returns at once.

        Raises `ConflictError` while a run goes on, `OutputError` when results could not be kept, and `ScenarioError` or `SettingError`
        for a scenario that cannot be used or that agents cannot run.
        """
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                raise ConflictError(f"{self.progress.scenario} is running already; stop it first, or wait until it has ended")
            scenario = load(path, overrides)
            check(scenario)
            folder = self._results / scenario.name
            check_writable(folder)
            self._stop = Event()
            self.progress = Progress(
                number=self.progress.number + 1,
                scenario=scenario.name,
                seed=scenario.seed,
                nodes=scenario.nodes,
                duration=scenario.duration / 1e9,
                folder=scenario.name,
            )
            self._enter("gathering", f"waiting for {scenario.nodes} agents")
            settings = [word for setting in overrides for word in ("--set", "=".join(setting))]
            command = ["python", "-m", "priomon_node", "cluster", str(path), *settings]
            self._thread = Thread(target=self._run, args=(scenario, folder, command), name="run")
            self._thread.start()
            return self.progress

    def stop(self) -> None:
        """Let the run end soon; what it observed is kept. Raises `ConflictError` if there is none."""
        if self._thread is None or not self._thread.is_alive():
            raise ConflictError("nothing is running")
        self._stop.set()

    def close(self) -> None:
        """Stop the run, if there is one, and wait for its end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, scenario: Scenario, folder: Path, command: Sequence[str]) -> None:
        try:
            ((live, _),) = validate([scenario], self._gather, folder, self._watch, self._stop, command, self._begin)
            self._say(f"checkers: {live['examination']['verdict']}")
            outside = _compare(scenario, folder)
            finding = live["examination"]["finding"]
        except (InterruptedRunError, StoppedError) as error:
            self._enter("interrupted", str(error))
        except Exception as error:
            ours = isinstance(error, PriomonError)
            problem = str(error) if ours else f"a fault of the orchestrator: {type(error).__name__}: {error}"
            self.progress = replace(self.progress, problem=problem)
            self._enter("failed", problem)
            if not ours:
                raise  # for its traceback
        else:
            self.progress = replace(self.progress, inside=not outside, problem=None if finding is None else live["examination"]["verdict"])
            verdict = f"outside: {', '.join(outside)}" if outside else "all measures with a tolerance are inside it"
            self._enter("complete", f"live and simulated are compared; {verdict}")
        finally:
            self._live = None

    @contextmanager
    def _gather(self, scenario: Scenario) -> Iterator[Sequence[Member]]:
        with self._recruit(scenario, self._say, self._stop) as members:
            yield members

    @contextmanager
    def _watch(self, scenario: Scenario, mode: str) -> Iterator[Callable[[int], None]]:
        if mode == "live":
            self._enter("live", "the agents begin")
            yield self._look_on
            self._say("the agents have ended")
        else:
            self._enter("simulated", "the same is simulated")
            yield self._simulated
            took = time.monotonic() - self.progress.since
            self._enter("reporting", f"simulated in {took:.1f} s; pictures and the report are drawn")

    def _begin(self, run: LiveRun) -> None:
        self._live, self._unheard = run, set()
        self.progress = replace(self.progress, picture=run.picture())

    def _look_on(self, now: int) -> None:
        picture, glance = self.progress.picture, None if self._live is None else self._live.glance()
        if picture is None or glance is None:
            return
        before = self.progress.glance
        self.progress = self.progress.see(glance)
        if glance.coverage == 1.0 and (before is None or before.coverage < 1.0):
            self._say(f"every node knows every other, at {glance.now / 1e9:g} s")
        unheard = {node for node, seconds in enumerate(glance.unheard) if seconds > SILENCE}
        for node in sorted(unheard ^ self._unheard):
            state = f"has not answered for {glance.unheard[node]:.0f} s" if node in unheard else "answers again"
            self._say(f"{picture.names[node]} at {endpoint(picture.agents[node])} {state}")
        self._unheard = unheard

    def _simulated(self, now: int) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt  # what ends a simulation early, and keeps what it has computed
        self.progress = replace(self.progress, t=now / 1e9)

    def _enter(self, phase: Phase, line: str) -> None:
        self.progress = self.progress.enter(phase, line)
        self._echo(line)

    def _say(self, line: str) -> None:
        self.progress = self.progress.say(line)
        self._echo(line)


def check_writable(folder: Path) -> None:
    """Make a folder, and a file in it for a moment. Raises `OutputError` if results cannot be kept there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: results cannot be written here ({error.strerror}); give the orchestrator's user the right to, or choose another"
            " folder with --results"
        ) from error


def _compare(scenario: Scenario, folder: Path) -> list[str]:
    """Draw the comparison of the live and the simulated runs; returns the measures that are outside their tolerances."""
    from priomon_sim.cli.compare import comparison

    found = comparison(database(folder, scenario), None, (), folder / "compare")
    return [row.measure.name for row in found.rows if row.inside is False]
