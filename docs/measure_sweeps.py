"""Measures sweeps: how much faster on processes and on Dask, what killing changes, how fast 10,000 points are stored.

python docs/measure_sweeps.py speed     200 runs of 100 nodes and 30 s: serial, on processes, on a local Dask cluster
python docs/measure_sweeps.py kills     a worker, the whole sweep, a Dask scheduler, each killed ten times at random moments
python docs/measure_sweeps.py store     10,000 runs stored and summarised
"""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from priomon_results.store import Store
from priomon_results.sweep.store import Planned, SweepHeader, begin_sweep, planned_points, record
from priomon_results.sweep.table import columns, read_table
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import load

KILLS = 10
SCENARIO = """
nodes: {nodes}
duration: {duration} s
network: {{latency: {{kind: uniform, low: 10 ms, high: 100 ms}}}}
workload: {{kind: synthetic}}
sweep:
  grid: {{network.loss: {{from: 0 %, to: 18 %, points: 10}}, gossip.fanout: [1, 2]}}
  seeds: {seeds}
"""


def write(folder: Path, nodes: int, duration: int, seeds: int) -> Path:
    """The file of a sweep of 20 points."""
    path = folder / "measured.yaml"
    path.write_text(SCENARIO.format(nodes=nodes, duration=duration, seeds=seeds))
    return path


def sweep(scenario: Path, output: Path, on: str, jobs: int = 2) -> subprocess.Popen[bytes]:
    """Start a sweep."""
    command = [sys.executable, "-m", "priomon_sim", "sweep", str(scenario), "--on", on, "--jobs", str(jobs), "-o", str(output), "--quiet"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def table(output: Path) -> dict[str, list[Any]]:
    """The final table of a sweep."""
    with Store(output / "measured-sweep.db", readonly=True) as store:
        return columns(read_table(store))


def speed() -> None:
    """Print wall time, the work in it, and what is left as overhead, for each place to run."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scenario = write(folder, nodes=100, duration=30, seeds=10)
        walls: dict[str, float] = {}
        for on in ("serial", "processes", "dask"):
            began = time.perf_counter()
            assert sweep(scenario, folder / on, on).wait() == 0
            walls[on] = time.perf_counter() - began
            with Store(folder / on / "measured-sweep.db", readonly=True) as store:
                ((work, runs),) = store.query("SELECT sum(wall_seconds), count(*) FROM point WHERE status = 'complete'")
            workers = 1 if on == "serial" else 2
            overhead = walls[on] * workers / work - 1
            times = walls["serial"] / walls[on]
            print(f"{on:9} {runs} runs  wall {walls[on]:6.1f} s  work {work:6.1f} s  overhead {overhead:6.1%}  {times:.2f} times")
            assert table(folder / on) == table(folder / "serial")


def kills() -> None:
    """Kill and compare: every final table must equal the undisturbed one, row for row."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scenario = write(folder, nodes=40, duration=20, seeds=2)
        began = time.perf_counter()
        assert sweep(scenario, folder / "undisturbed", "processes").wait() == 0
        length = time.perf_counter() - began
        undisturbed = table(folder / "undisturbed")
        for what, disturb in (("worker", _kill_workers), ("sweep", _kill_sweep), ("scheduler", _kill_scheduler)):
            disturb(scenario, folder / what, length)
            print(f"{what}: killed {KILLS} times; the table is {'equal' if table(folder / what) == undisturbed else 'DIFFERENT'}")


def _kill_workers(scenario: Path, output: Path, length: float) -> None:
    """One sweep, of which a worker is killed again and again."""
    process = sweep(scenario, output, "processes")
    killed = 0
    while process.poll() is None and killed < KILLS:
        time.sleep(random.uniform(0.5, 1.0) * length / KILLS)
        if workers := [child for child in psutil.Process(process.pid).children(recursive=True) if _is_worker(child)]:
            random.choice(workers).kill()
            killed += 1
    assert process.wait() == 0
    assert killed == KILLS, f"the sweep was over after {killed} kills"


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process was forked from the server that multiprocessing starts."""
    try:
        return any("forkserver" in word for word in process.parent().cmdline())  # type: ignore[union-attr]
    except (psutil.Error, AttributeError):
        return False


def _kill_sweep(scenario: Path, output: Path, length: float) -> None:
    """The same sweep begun again and again."""
    for _ in range(KILLS):
        process = sweep(scenario, output, "processes")
        time.sleep(random.uniform(0.3, 0.5) * length)
        process.kill()
        process.wait()
    assert sweep(scenario, output, "processes").wait() == 0


def _kill_scheduler(scenario: Path, output: Path, length: float) -> None:
    """A Dask cluster of three processes, of which the first is killed; then a new one, and the same command."""
    for attempt in range(KILLS + 1):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cluster = [_dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
        cluster += [_dask("worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-dashboard") for _ in range(2)]
        process = sweep(scenario, output, f"dask://127.0.0.1:{port}")
        if attempt < KILLS:
            time.sleep(random.uniform(0.6, 1.0) * length)
            cluster[0].kill()
        code = process.wait()
        assert code in (0, 1), code
        for part in cluster:
            part.kill()  # without a scheduler, a worker would wait for one
            part.wait()


def _dask(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "dask", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def store() -> None:
    """Store 10,000 runs as a sweep does, in batches of two, and read their table."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scenario = load(write(folder, nodes=10, duration=5, seeds=1))
        with Store(folder / "run.db") as other:
            _, summary = execute(scenario, other, lambda now: None)
        plan = [Planned(n, 1, {"n": n}, {"n": n}) for n in range(1, 10_001)]
        about = SweepHeader(
            scenario="measured", scenario_hash="1", code_version="1", units={"n": ""}, parameters=scenario.dump(), machine={}
        )
        began = time.perf_counter()
        with Store(folder / "sweep.db") as opened:
            number = begin_sweep(opened, about, plan)
            waiting = planned_points(opened, number, ["pending"])
            for first, second in zip(waiting[::2], waiting[1::2], strict=True):
                record(opened, [(p.id, "complete", 0.1, _changed(summary, p.id), "") for p in (first, second)])
            stored = time.perf_counter() - began
            rows = len(read_table(opened).rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        read = time.perf_counter() - began
        print(f"{len(plan):,} runs: stored in {stored:.2f} s, with their table of {rows:,} rows {read:.2f} s; {peak:.0f} MB")


def _changed(summary: dict[str, Any], number: int) -> bytes:
    return json.dumps(summary | {"bytes_per_node_per_second": 1000 + number % 997}).encode()


MODES: dict[str, Callable[[], None]] = {"speed": speed, "kills": kills, "store": store}


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for; returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in MODES:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    MODES[arguments[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
