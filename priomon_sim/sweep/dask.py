"""The batches of a sweep on a Dask cluster: one of this machine, or any whose scheduler can be reached."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from priomon_core.errors import PriomonError
from priomon_sim.provenance import code_version
from priomon_sim.sweep.pools import Batch, Died, Result
from priomon_sim.sweep.task import Job, OtherCodeError, run_batch

CONNECT_SECONDS = 10
START_SECONDS = 60  # within which the first worker of a cluster has to appear


class ClusterError(PriomonError):
    """There is no Dask cluster to run on, or no longer one."""


class Cluster:
    """A pool on Dask. Lost workers are Dask's business: it runs their batches again, three times at most."""

    def __init__(self, job: Job, address: str | None, jobs: int) -> None:
        """Connect to the scheduler at `address` (such as `tcp://host:8786`), or start `jobs` workers here.

        Raises `ClusterError`, and `OtherCodeError` if a worker runs other code.
        """
        self._job = job
        self._dask = _distributed()
        self._address = address
        self._local: Any = None
        if address is None:
            self._local = self._dask.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        try:
            self._client = self._dask.Client(self._local or address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"--on {_shown(address)}: no Dask scheduler answers there within {CONNECT_SECONDS} s ({error}); "
                "start one with `dask scheduler`"
            ) from None
        self._futures: dict[Any, Batch] = {}
        try:
            self.slots = self._ready_threads()
        except BaseException:
            self.close()
            raise

    def _ready_threads(self) -> int:
        """The number of threads of all workers, once there are some and all of them run this code."""
        try:
            self._client.wait_for_workers(1, timeout=START_SECONDS)
        except TimeoutError:
            message = f"--on {_shown(self._address)}: the scheduler has no workers after {START_SECONDS} s; start some with `dask worker`"
            raise ClusterError(message) from None
        try:
            versions = self._client.run(code_version)
        except Exception as error:  # whatever keeps a worker from importing our code
            message = f"--on {_shown(self._address)}: a worker cannot run PrioMon ({error}); install 'priomon[sim,dask]' where workers run"
            raise ClusterError(message) from None
        for worker, version in versions.items():
            if version != self._job.code_version:
                raise OtherCodeError(
                    f"--on {_shown(self._address)}: the worker {worker} runs PrioMon {version}, this sweep is of {self._job.code_version}; "
                    "install the same code on all workers and start them again"
                )
        return sum(self._client.nthreads().values())

    def submit(self, batch: Batch) -> None:
        """Hand a batch to the scheduler."""
        self._futures[self._client.submit(run_batch, self._job, batch, pure=False)] = batch

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        """Collect what has ended. Raises `ClusterError` if the scheduler is gone, and `OtherCodeError`."""
        try:
            with self._client.as_current():
                self._dask.wait(list(self._futures), timeout=seconds, return_when="FIRST_COMPLETED")
        except TimeoutError:
            pass
        except self._dask.CancelledError:
            raise self._gone() from None
        if self._client.status != "running":
            raise self._gone()
        ended = [future for future in self._futures if future.status != "pending"]
        return [(self._futures.pop(future), self._result(future)) for future in ended]

    def _result(self, future: Any) -> Result:
        if future.status == "finished":
            result: Result = future.result()
            return result
        if future.status != "error":
            raise self._gone()
        error = future.exception()
        if isinstance(error, self._dask.KilledWorker):
            return Died("its Dask workers ended again and again; their logs say why, often that memory ran out")
        raise error

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"--on {_shown(self._address)}: the Dask scheduler is gone; what was done is stored: start it again and repeat this command"
        )

    def give_up(self, batch: Batch) -> None:
        """Forget a batch. Dask cannot stop what a worker has begun; it stays busy until that ends."""
        for future in [future for future, other in self._futures.items() if other == batch]:
            future.cancel()
            del self._futures[future]

    def close(self) -> None:
        """Leave the cluster, and stop it if it was started here."""
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self._client.close(timeout=CONNECT_SECONDS)
        if self._local is not None:
            self._local.close(timeout=CONNECT_SECONDS)


def _shown(address: str | None) -> str:
    return "dask" if address is None else address.replace("tcp://", "dask://", 1)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        raise ClusterError("--on dask needs dask.distributed, which is not installed: pip install 'priomon[dask]'") from error
