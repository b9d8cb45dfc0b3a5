"""A Dask cluster in place of worker processes of this machine.

    driver                                     worker: dask worker --preload autograder.cluster ...
    Cluster, an executor as LocalWorkers is    dask_setup announces what it grades with
    submit: a job, and what it needs     ──>   run_job, only where that was announced
    bytes                                <──   bytes

A worker announces two resources, one unit a thread: the version of all that decides a score, and
`bubblewrap` if its sandbox works. A job asks for both, so the scheduler itself keeps it from any
worker with another version, whenever that one joined. Only bytes travel, and no disk is shared.

A job runs in a thread of the worker. The warm processes belong to that thread (bwrap ends with the
thread that started it), stay for the next jobs, and end with the worker, however it ends.
"""

import concurrent.futures
import hashlib
import json
import logging
import os
import threading
import warnings

from autograder import grade, sandbox
from autograder.collect import GradeError
from autograder.record import one_line
from autograder.workers import WorkerLost, call

CONNECT_SECONDS = 10
LOOK_SECONDS = 2
SANDBOX = "bubblewrap"


# ---------------------------------------------------------------------------------------------
# The worker


def dask_setup(worker):
    """Called by Dask when a worker starts, before the scheduler knows of it."""
    can = {version(ingredients()): worker.state.nthreads}
    problem = sandbox.bwrap_problem()
    if problem is None:
        can[SANDBOX] = worker.state.nthreads
    worker.state.total_resources.update(can)
    worker.state.available_resources.update(can)
    told = {"ingredients": ingredients(), "problem": problem}
    worker.startup_information["autograder"] = lambda _: told


def ingredients():
    """What decides a score, and how the two sides talk: name -> version."""
    import distributed

    return {**grade.ingredients(), "distributed": distributed.__version__}


def version(parts) -> str:
    """The resource that stands for these ingredients."""
    return f"autograder-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"


def run_job(module, name, job, seconds):
    """Call a function on bytes; b"+" and its result, or b"-" and its error in one line.

    A job that takes longer than `seconds` takes the worker with it: Dask's nanny starts a new one.
    """
    watch = threading.Timer(seconds, os._exit, (1,))
    watch.daemon = True
    watch.start()
    try:
        return b"".join(call(module, name, job))
    finally:
        watch.cancel()


# ---------------------------------------------------------------------------------------------
# The driver


class Cluster(concurrent.futures.Executor):
    """A running Dask scheduler, as an executor of bytes -> bytes functions.

    GradeError in one line where it cannot be reached or a worker of it is not fit. Workers may
    come and go: `workers` is the number of jobs they can do at once, `tell` gets a line when one
    joins that is not fit, and when none is left.
    """

    def __init__(self, address, seconds, mode, tell=print):
        try:
            import dask
            from distributed import Client, Security
        except ImportError:
            raise GradeError(
                "--scheduler needs Dask: pip install 'finetuning-course[cluster]' here and on "
                "the workers"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we say it in one line
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        self.address, self.seconds, self.tell = address, seconds, tell
        self.needs = {version(ingredients()): 1}
        if mode != "none":
            self.needs[SANDBOX] = 1
        self.told, self.waiting, self.workers = set(), False, 1
        if address.startswith("tls:") and not Security().tls_client_cert:
            raise GradeError(
                f"no Dask scheduler at {address}: tls needs certificates, "
                "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and "
                "...__TLS__CLIENT__KEY, see docs/grading_at_scale.md"
            )
        try:
            with warnings.catch_warnings():  # of other versions: ours says which
                warnings.simplefilter("ignore")
                self.client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            found = self.client.scheduler_info()["workers"]
        except Exception as error:  # of the network, the certificates, the address: many kinds
            raise GradeError(f"no Dask scheduler at {address}: {one_line(error)}") from None
        try:
            self._check(found)
        except GradeError:
            self.client.close(timeout=1)
            raise
        self.executor = self.client.get_executor(pure=False, resources=self.needs)
        self.closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, function, job):
        if self.client.status not in ("running", "connecting"):
            raise GradeError(
                f"the Dask scheduler at {self.address} is gone; what is graded is kept: the same "
                "command goes on"
            )
        future = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        inner = self.executor.submit(
            run_job, function.__module__, function.__qualname__, job, self.seconds
        )
        inner.add_done_callback(lambda done: _settle(future, done))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Leave the cluster; it forgets our jobs, and what is running ends there by itself."""
        if self.closed.is_set():
            return
        if wait and not cancel_futures:
            self.executor.shutdown()
        self.closed.set()
        self.client.close(timeout=3)

    def _check(self, found):
        """GradeError unless there are workers and all are fit."""
        if not found:
            raise GradeError(
                f"the scheduler at {self.address} has no workers: start "
                f"`dask worker {self.address} --nthreads 1 --preload autograder.cluster`"
            )
        for address, worker in found.items():
            if problem := unfit(worker, SANDBOX in self.needs):
                raise GradeError(f"worker {address} {problem}")
        self.workers = sum(worker["nthreads"] for worker in found.values())

    def _watch(self):
        while not self.closed.wait(LOOK_SECONDS):
            try:
                found = self.client.scheduler_info()["workers"]
            except Exception:  # not now; submit tells if it is for ever
                continue
            threads = 0
            for address, worker in found.items():
                problem = unfit(worker, SANDBOX in self.needs)
                threads += 0 if problem else worker["nthreads"]
                if problem and address not in self.told:
                    self.told.add(address)
                    self.tell(f"note: worker {address} gets no work: it {problem}")
            if not threads and not self.waiting:
                self.tell("note: no worker is left: waiting for one (what is graded is kept)")
            self.waiting = not threads
            self.workers = max(1, threads)


def unfit(worker, confined) -> str | None:
    """Why a worker, as the scheduler describes it, must not grade for us; None if it may."""
    told = worker.get("autograder")
    if told is None:
        return "was not started with `--preload autograder.cluster`"
    for name, here in ingredients().items():
        there = told["ingredients"].get(name, "none")
        if there != here:
            return (
                f"has another version of {name}: {there} there, {here} here; install the same and "
                "start it again"
            )
    if confined and told["problem"]:
        return f"cannot confine students' code: {told['problem']}"
    return None


def _settle(future, done):
    """Hand the outcome of Dask's future on to ours."""
    from distributed.scheduler import KilledWorker

    try:
        answer = done.result()
    except KilledWorker as error:
        future.set_exception(
            WorkerLost(f"{error.allowed_failures + 1} workers died with it, one after the other")
        )
    except concurrent.futures.CancelledError:
        future.set_exception(WorkerLost("the connection to the scheduler was lost"))
    except Exception as error:
        future.set_exception(RuntimeError(one_line(f"{type(error).__name__}: {error}")))
    else:
        if answer[:1] == b"+":
            future.set_result(answer[1:])
        else:
            future.set_exception(RuntimeError(answer[1:].decode()))
