"""Metrics that a person adds: the number that a command prints, that a file holds, or that a field of an HTTP answer in JSON has.

A source that fails gives NaN, which is no sample: others keep seeing the last value grow old. Its first failure is logged, and its
recovery; what lies between is counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from priomon_core.metrics import Metric

Kind = Literal["command", "file", "http"]

LARGEST_ANSWER = 65_536  # bytes; a metric is one number
LONGEST_COMPLAINT = 200  # characters of what a command says on stderr
KILL_PATIENCE = 1.0  # seconds until a killed command is left to the system

log = logging.getLogger(__name__)


class MetricSource:
    """A metric and what measures it. `target` is a command's words, or a path or URL alone; `timeout` is in seconds.

    What is read is multiplied by `factor`, so that a file in thousandths can be a metric in units. `field` is the dotted path of a
    number within JSON. `failures` counts the readings that gave none; `problem` says why the last one did, None if it succeeded.
    """

    __slots__ = ("_busy", "factor", "failures", "field", "kind", "metric", "problem", "target", "timeout")

    def __init__(
        self, metric: Metric, kind: Kind, target: tuple[str, ...], *, field: str = "", factor: float = 1.0, timeout: float = 2.0
    ) -> None:
        self.metric = metric
        self.kind = kind
        self.target = target
        self.field = field
        self.factor = factor
        self.timeout = timeout
        self.failures = 0
        self.problem: str | None = None
        self._busy = False  # a thread is at work, perhaps one that nobody waits for any more

    def __str__(self) -> str:
        return f"{self.metric.name} ({self.metric.unit}, bound {self.metric.bound:g}, {self.kind} {' '.join(self.target)})"

    async def read(self) -> float:
        """The value now, in the metric's unit; NaN when there is none in time."""
        try:
            async with asyncio.timeout(self.timeout):
                value = await self._measure() * self.factor
            if not math.isfinite(value):
                raise ValueError(f"expected a finite number, found {value}")
        except (OSError, ValueError, LookupError) as error:  # TimeoutError is an OSError
            self._failed(self._reason(error))
            return math.nan
        if self.problem is not None:
            log.info("metric %s is measured again, after %d failures in all", self.metric.name, self.failures)
            self.problem = None
        return value

    def _failed(self, problem: str) -> None:
        self.failures += 1
        if self.problem is None:
            log.warning("metric %s cannot be measured: %s", self.metric.name, problem)
        self.problem = problem

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self.timeout:g} s from {self.target[0]}"
        return f"{self.target[0]}: {error.strerror}" if isinstance(error, OSError) and error.strerror else f"{self.target[0]}: {error}"

    async def _measure(self) -> float:
        if self.kind == "command":
            return _number(await _output(self.target))
        if self.kind == "file":
            return _number(await self._in_thread(lambda: _content(self.target[0])))
        return _field(json.loads(await self._in_thread(lambda: _answer(self.target[0], self.timeout))), self.field)

    async def _in_thread(self, work: Callable[[], bytes]) -> bytes:
        """`work` in a daemon thread, which can hang without holding up the end of the agent, but only once."""
        if self._busy:
            raise ValueError("the reading before still hangs")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()

        def settle(outcome: bytes | Exception) -> None:
            if done.done():
                return
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)

        def run() -> None:
            try:
                outcome: bytes | Exception = work()
            except Exception as error:
                outcome = error
            self._busy = False
            with suppress(RuntimeError):  # the loop has ended; nobody waits any more
                loop.call_soon_threadsafe(settle, outcome)

        self._busy = True
        threading.Thread(target=run, name=f"metric {self.metric.name}", daemon=True).start()
        return await done


async def _output(words: tuple[str, ...]) -> bytes:
    """What a command prints. Raises `ValueError` when it fails or prints too much; kills it and its children when cancelled."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRIOMON_KEY")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    )
    assert process.stdout
    assert process.stderr

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    try:
        output, complaint = await asyncio.gather(_start_of(process.stdout, kill), _start_of(process.stderr, kill))
        code = await process.wait()
    except BaseException:
        kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), KILL_PATIENCE)  # pipes close when they have been read to their end
        raise
    _bounded(max(output, complaint, key=len))
    if code:
        raise ValueError(f"exit code {code} {complaint.decode(errors='replace').strip()[-LONGEST_COMPLAINT:]}".strip())
    return output


async def _start_of(stream: asyncio.StreamReader, kill: Callable[[], None]) -> bytes:
    """A stream to its end, cut one byte past the largest answer; who writes more is killed, so that the end comes."""
    gathered = b""
    while piece := await stream.read(LARGEST_ANSWER):
        gathered = (gathered + piece)[: LARGEST_ANSWER + 1]
        if len(gathered) > LARGEST_ANSWER:
            kill()
    return gathered


def _content(path: str) -> bytes:
    # Without O_NONBLOCK a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _bounded(os.read(descriptor, LARGEST_ANSWER + 1))
    finally:
        os.close(descriptor)


def _answer(url: str, timeout: float) -> bytes:
    # With ssl and email some MiB, which only agents with such a metric pay.
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=timeout) as response:
            return _bounded(response.read(LARGEST_ANSWER + 1))
    except HTTPError as error:
        with error:
            raise ValueError(f"expected status 200, found {error.code} {error.reason}") from None
    except URLError as error:
        raise ValueError(str(error.reason)) from None


def _bounded(answer: bytes) -> bytes:
    if len(answer) > LARGEST_ANSWER:
        raise ValueError(f"found more than {LARGEST_ANSWER} bytes, expected one number")
    return answer


def _number(answer: bytes) -> float:
    """The first word of an answer."""
    words = answer.split(maxsplit=1)
    if not words:
        raise ValueError("expected a number, found nothing")
    try:
        return float(words[0])
    except ValueError:
        raise ValueError(f"expected a number, found {words[0][:40].decode(errors='replace')!r}") from None


def _field(document: Any, path: str) -> float:
    """The number at a dotted path, where a step into a list is an index."""
    here = document
    for step in path.split("."):
        try:
            here = here[int(step)] if isinstance(here, list) else here[step]
        except (LookupError, ValueError, TypeError):
            raise ValueError(f"{path}: there is no {step!r} in the answer") from None
    if isinstance(here, bool) or not isinstance(here, int | float):
        raise ValueError(f"{path}: expected a number, found {str(here)[:40]!r}")
    return float(here)
