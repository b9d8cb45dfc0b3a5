"""Where submissions are graded: worker processes of this machine. cluster.py has the others."""

import concurrent.futures
import importlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from contextlib import suppress

from autograder import confine
from autograder.record import one_line


class WorkerLost(Exception):
    """The worker process died or did not answer in time; the job may be tried again."""


class LocalWorkers(concurrent.futures.Executor):
    """Worker processes of this machine, as an executor of bytes -> bytes functions.

    concurrent.futures.ProcessPoolExecutor fails every job of the pool when one process dies. Here
    each process has a thread that feeds it, so a death costs one job, and a hang ends in time.
    """

    def __init__(self, workers, seconds, start_warm=list):
        """seconds: for one job. start_warm: makes the warm.Warm that all workers share; called by
        the thread of `start` or of the first `submit`, with which they end."""
        self.workers, self.seconds, self.start_warm = workers, seconds, start_warm
        self.warm = None
        self.jobs = queue.SimpleQueue()
        self.processes = set()
        self.closed = self.ended = False
        self.threads = [threading.Thread(target=self._feed, daemon=True) for _ in range(workers)]
        for thread in self.threads:
            thread.start()

    def start(self):
        """Let the imports begin before the first job is there."""
        if self.warm is None:
            self.warm = self.start_warm()

    def submit(self, function, job):
        self.start()
        future = concurrent.futures.Future()
        self.jobs.put((future, function, job))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        """End all workers; with cancel_futures at once, whatever they do."""
        if self.ended:
            return
        self.ended = True
        self.closed = cancel_futures
        for _ in self.threads:
            self.jobs.put(None)
        if cancel_futures:
            for process in list(self.processes):
                process.kill()
        for thread in self.threads:
            thread.join(timeout=5 if cancel_futures else None)
        for warm in self.warm or ():
            warm.close()

    def _feed(self):
        process = line = None
        while (item := self.jobs.get()) is not None and not self.closed:
            future, function, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if process is None:
                    process, line = self._start()
                line.send((function.__module__, function.__qualname__))
                line.send_bytes(job)
                if not line.poll(self.seconds):
                    raise WorkerLost("the worker did not answer in time")
                ok, data = line.recv_bytes(1), line.recv_bytes()
            except (EOFError, OSError) as error:
                process = self._end(process)
                future.set_exception(WorkerLost(f"the worker died ({type(error).__name__})"))
            except WorkerLost as error:
                process = self._end(process)
                future.set_exception(error)
            else:
                if ok == b"+":
                    future.set_result(data)
                else:
                    future.set_exception(RuntimeError(data.decode()))
        if process is not None:
            line.close()  # the worker ends by itself, and its warm processes with it
            process.join(timeout=0 if self.closed else 10)
            self._end(process)

    def _start(self):
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        offers = {}
        for warm in self.warm:
            with suppress(OSError):  # one that died: the worker starts its own
                offers[warm.role, warm.mode] = warm.share()
        process = context.Process(target=_work, args=(theirs, offers), daemon=True)
        process.start()
        theirs.close()
        for offer in offers.values():
            offer.close()
        self.processes.add(process)
        ours.recv_bytes()  # it is there: the clock of its first job starts now
        return process, ours

    def _end(self, process):
        if process is not None:
            process.kill()
            process.join(timeout=5)
            self.processes.discard(process)


def _work(line, offers):
    """A worker process: call functions by name on bytes until the driver hangs up."""
    from autograder import warm

    warm.OFFERED.update(offers)
    with suppress(OSError):
        os.setsid()  # Ctrl-C is for the driver, which then ends us
    if sys.platform.startswith("linux"):  # a killed driver cannot: not even a long import goes on
        confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        line.send_bytes(b"ready")
        while True:
            module, name = line.recv()
            job = line.recv_bytes()
            for part in call(module, name, job):
                line.send_bytes(part)
    except (EOFError, OSError):
        pass


def call(module, name, job):
    """(b"+", what the function returns for `job`), or (b"-", its error in one line)."""
    try:
        return b"+", getattr(importlib.import_module(module), name)(job)
    except Exception as error:
        return b"-", one_line(f"{type(error).__name__}: {error}").encode()
