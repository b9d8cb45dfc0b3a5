"""A large class, graded undisturbed and graded while it is killed: the same grades, at a flat cost.

    .venv/bin/python benchmarks/large_class.py [--submissions 3000] [--kills 5] [--workers 2]

Each submission answers notebook 01 with answers drawn from autograder/mutants/, right and wrong.
One run is left alone. The other is killed at random moments: the driver by SIGKILL, with one of its
workers, warm processes or student processes killed a moment before; then the same command goes on.
Both must end with the same grades.csv and the same points in the gradebook, nothing may be graded
twice, and no process may be left. Seconds, memory and open files of the driver are sampled on the
way, so that a cost that grows with the class would show. At last the command is given once more,
when nothing has changed, once for the class and once for one student: the difference is what an
unchanged submission costs.
"""

import argparse
import contextlib
import copy
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from machine import machine, write_result

from autograder import build

NOTEBOOK = "01_gqa_moe"
BANK = Path(build.ROOT) / "autograder" / "mutants" / NOTEBOOK


def write_class(folder: Path, count: int, seed: int = 0) -> None:
    """`count` submissions; an answer is the reference, or with probability 1/3 one of the bank."""
    reference = {n: s for kind, n, s in build.reference_cells(NOTEBOOK) if kind == "solution"}
    bank = {n: sorted(BANK.glob(f"{n}/*/*.py")) for n in reference}
    release = build.release_notebook(NOTEBOOK)
    draw = random.Random(seed)
    for number in range(count):
        notebook = copy.deepcopy(release)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in reference:
                wild = draw.random() < 1 / 3
                cell.source = draw.choice(bank[name]).read_text() if wild else reference[name]
        path = folder / f"s{number:04d}" / NOTEBOOK / f"{NOTEBOOK}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(build.notebook_text(notebook))


class Run:
    """`autograder grade` in the background, and what its driver takes meanwhile."""

    def __init__(self, submitted: Path, out: Path, workers: int):
        self.out = out
        self.samples: list[tuple[int, int, int]] = []  # graded, bytes, open files
        self.began = time.perf_counter()
        command = ["grade", str(submitted), "--out", str(out), "--workers", str(workers)]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autograder", *command], stdout=self.log, stderr=self.log
        )
        self.driver = psutil.Process(self.process.pid)

    def graded(self) -> int:
        return sum(1 for _ in (self.out / "results" / NOTEBOOK).glob("s*.json"))

    def watch(self, until: int | None = None) -> None:
        """Sample once in a while, until it has ended or `until` submissions are graded."""
        while self.process.poll() is None and (until is None or self.graded() < until):
            try:
                usage = self.driver.memory_info().rss, self.driver.num_fds()
                self.samples.append((self.graded(), *usage))
            except psutil.Error:
                break
            time.sleep(2)

    def last_words(self) -> str:
        self.log.seek(0)
        return self.log.read()


def processes_below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def points(out: Path) -> list[tuple]:
    """(student, points) in nbgrader's gradebook."""
    with sqlite3.connect(out / "gradebook.db") as book:
        return book.execute(
            "select s.student_id, sum(g.auto_score) from submitted_assignment s"
            " join submitted_notebook n on n.assignment_id = s.id"
            " join grade g on g.notebook_id = n.id group by s.student_id order by 1"
        ).fetchall()


def write_times(out: Path) -> dict[str, int]:
    """When the result of each submission was written, nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("results/*/s*.json")}


def finish(run: Run) -> str:
    """Wait for the end of a run; returns what it printed."""
    run.watch()
    run.process.wait()
    if run.process.returncode:
        sys.exit(f"autograder grade failed:\n{run.last_words()[-2000:]}")
    return run.last_words()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the class and of the kills")
    parser.add_argument("--folder", type=Path, help="keep everything there")
    args = parser.parse_args()
    facts = machine("nbgrader", "nbclient", "ipykernel", "torch")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        submitted = folder / "submitted"
        write_class(submitted, args.submissions, args.seed)
        secret = folder / "calm" / ".course_seed"
        secret.parent.mkdir(parents=True)
        secret.write_text("0123456789abcdef" * 4 + "\n")

        calm = Run(submitted, folder / "calm", args.workers)
        finish(calm)
        seconds = time.perf_counter() - calm.began
        print(f"undisturbed: {args.submissions} in {seconds:.0f} s", flush=True)

        stormy = folder / "stormy"
        stormy.mkdir()
        (stormy / ".course_seed").write_text(secret.read_text())
        draw = random.Random(args.seed)
        moments = sorted(draw.randrange(1, args.submissions) for _ in range(args.kills))
        left, written = [], {}
        for moment in moments:
            run = Run(submitted, stormy, args.workers)
            run.watch(until=moment)
            victim = draw.choice(processes_below(run.driver) or [None])
            with contextlib.suppress(psutil.NoSuchProcess):  # it may just have ended
                victim and victim.kill()
            time.sleep(draw.random())
            below = processes_below(run.driver)
            run.process.kill()
            run.process.wait()
            _, alive = psutil.wait_procs(below, timeout=20)
            left += [p.name() for p in alive]
            written |= write_times(stormy)
            print(f"killed at {run.graded()} graded", flush=True)
        last = finish(Run(submitted, stormy, args.workers))
        now = write_times(stormy)
        twice = sum(now[path] != when for path, when in written.items())

        again = {}
        for name in ("submitted", "one"):
            if name == "one":
                shutil.copytree(submitted / "s0000", folder / name / "s0000")
            run = Run(folder / name, stormy, args.workers)
            if "had not changed" not in finish(run):
                sys.exit(f"what had not changed was graded again:\n{run.last_words()[-2000:]}")
            again[name] = time.perf_counter() - run.began
        idle = (again["submitted"] - again["one"]) / (args.submissions - 1)
        if write_times(stormy) != now:
            sys.exit("a result that had not changed was written again")

        same = (folder / "calm/grades.csv").read_bytes() == (stormy / "grades.csv").read_bytes()
        same_points = points(folder / "calm") == points(stormy)
        found = re.search(r"(\d+) had not changed", last)
        unchanged = int(found.group(1)) if found else 0
        size = len((folder / "calm/grades.csv").read_text().splitlines()) - 1

        def at(share):
            """Memory and open files of the driver around a share of the run."""
            place = share * args.submissions
            near = [s for s in calm.samples if abs(s[0] - place) <= 0.1 * args.submissions]
            return {
                "rss_mib": round(statistics.median(s[1] for s in near) / 2**20),
                "open_files": statistics.median(s[2] for s in near),
            }

        # The time of a write tells when a submission was done.
        times = sorted(p.stat().st_mtime for p in (folder / "calm/results").glob("*/*.json"))
        tenth = max(2, len(times) // 10)
        pace = [
            (part[-1] - part[0]) / (len(part) - 1)
            for part in (times[tenth : 2 * tenth], times[-tenth:])
        ]
    headline = {
        "submissions": args.submissions,
        "rows": size,
        "same_grades": same and same_points,
        "kills": len(moments),
        "graded_before_last_run": unchanged,
        "graded_twice": twice,
        "processes_left": len(left),
        "seconds_per_submission": round(seconds / args.submissions, 3),
        "second_tenth_s": round(pace[0], 3),
        "last_tenth_s": round(pace[1], 3),
        "unchanged_run_s": round(again["submitted"], 1),
        "unchanged_submission_ms": round(1000 * idle, 1),
        "driver_early": at(0.15),
        "driver_late": at(0.9),
    }
    for name, value in headline.items():
        print(f"{name:24} {value}")
    path = write_result("large_class", headline, machine=facts, settings={
        "workers": args.workers, "kills_at": moments, "notebook": NOTEBOOK, "seed": args.seed,
    })  # fmt: skip
    print(path)
    sys.exit(0 if same and same_points and not twice and not left else 1)


if __name__ == "__main__":
    main()
