"""The instructor's command: build, collect, grade, report, publish, selftest, demo."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

# Limits that have a flag: name of the field, unit of the flag, how many of the field's units it is.
LIMITS = {
    "memory_bytes": ("--memory", "GiB", 1024**3),
    "processes": ("--processes", "N", 1),
    "cell_seconds": ("--cell-seconds", "S", 1),
    "call_seconds": ("--call-seconds", "S", 1),
    "notebook_seconds": ("--notebook-seconds", "S", 1),
}


def parser():
    """The argument parser; nothing heavy is imported for --help."""
    top = argparse.ArgumentParser(
        prog="autograder", description="Build the notebooks, grade a class, report on it."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="solutions/ -> lectures/")
    build.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")

    collect = commands.add_parser(
        "collect",
        help="zip files of Canvas, Moodle, nbgrader, or folders -> SUBMITTED_DIR",
        description="Put what students handed in where `grade` expects it: "
        "SUBMITTED_DIR/<student>/<assignment>/. Of several hand-ins the last counts.",
    )
    collect.add_argument("sources", metavar="SOURCE", type=Path, nargs="+", help="zip or folder")
    collect.add_argument("--to", metavar="SUBMITTED_DIR", type=Path, required=True)
    collect.add_argument("--assignment", metavar="ID", help="for files whose name does not tell")

    grade = commands.add_parser(
        "grade",
        help="grade SUBMITTED_DIR/<student>/<assignment>/<assignment>.ipynb",
        description="Grade a class into a course directory: grades.csv, gradebook.db, "
        "autograded/, feedback/, report.html. The same command again updates them.",
    )
    regrade = commands.add_parser(
        "regrade",
        help="grade again and show whose score changes, by which exercise",
        description="Grade again after a test, a notebook or a limit was changed. With --diff "
        "nothing is written: look first.",
    )
    regrade.add_argument("--diff", action="store_true", help="show what would change, no more")
    for command in (grade, regrade):
        _grading_options(command)

    report = commands.add_parser(
        "report",
        help="report, CSV files and late penalties anew, with grades given by hand",
    )
    report.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="course directory")

    export = commands.add_parser(
        "export",
        help="fill the grades into a file that Canvas or Moodle exported",
        description="ROSTER is Canvas's exported gradebook, or Moodle's grading worksheet or "
        "grader report. The filled file goes to the screen, or to --to.",
    )
    export.add_argument("roster", metavar="ROSTER", type=Path)
    export.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="course directory")
    export.add_argument("--assignment", metavar="ID", help="this one alone")
    export.add_argument("--to", metavar="FILE", type=Path)

    publish = commands.add_parser("publish", help="write the student bundle, without any answer")
    publish.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")

    selftest = commands.add_parser(
        "selftest", help="wrong answers must lose points, right ones not"
    )
    selftest.add_argument("--bank", metavar="DIR", type=Path, help="default: autograder/mutants")
    selftest.add_argument(
        "--repeat",
        metavar="N",
        type=_count,
        help="run each hidden test N times on fresh inputs: none may change its mind",
    )
    selftest.add_argument("--notebook", metavar="ID", help="this one alone")
    selftest.add_argument("--exercise", metavar="NAME", help="this one alone")
    selftest.add_argument("--seed", metavar="TEXT", help="with --repeat: the same inputs again")
    selftest.add_argument("--workers", metavar="N", type=_count, help=argparse.SUPPRESS)
    selftest.add_argument(
        "--sandbox", choices=("auto", "bwrap", "none"), default="auto", help=argparse.SUPPRESS
    )

    demo = commands.add_parser("demo", help="write a sample class, grade it, report")
    demo.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"))
    demo.add_argument("--workers", metavar="N", type=_count)
    demo.add_argument("--sandbox", choices=("auto", "bwrap", "none"), default="auto")
    return top


def _grading_options(command):
    """What `grade` and `regrade` have in common."""
    command.add_argument("submitted", metavar="SUBMITTED_DIR", type=Path)
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help="course directory")
    command.add_argument(
        "--assignment", metavar="ID", help="this one alone, for example 01_gqa_moe"
    )
    command.add_argument(
        "--workers", metavar="N", type=_count, help="processes here (default: all cores)"
    )
    command.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler in their place")
    command.add_argument(
        "--sandbox",
        choices=("auto", "bwrap", "none"),
        default="auto",
        help="auto refuses where there is no protection; none: code you trust",
    )
    for name, (flag, unit, _) in LIMITS.items():
        command.add_argument(
            flag, metavar=unit, type=_amount, dest=name, help=f"limit of one submission, {unit}"
        )


def main(arguments=None):
    """Run a command; returns its exit status. A mistake is told in one line, with status 2."""
    options = parser().parse_args(arguments)
    # A student's folder name may hold what the terminal cannot show.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    command = {
        "build": _build,
        "collect": _collect,
        "grade": _grade,
        "regrade": _regrade,
        "report": _report,
        "export": _export,
        "publish": _publish,
        "selftest": _selftest,
        "demo": _demo,
    }[options.command]
    try:
        return command(options)
    except KeyboardInterrupt:
        print("autograder: stopped", file=sys.stderr)
        return 130
    except _mistakes() as error:
        print(f"autograder: {error}", file=sys.stderr)
        return 2


def _mistakes():
    """The errors whose text is one line for the user; imported when one has happened."""
    from autograder.build import BuildError
    from autograder.collect import GradeError
    from autograder.publish import PublishError
    from autograder.record import RecordError
    from autograder.sandbox import SandboxError

    return BuildError, GradeError, PublishError, RecordError, SandboxError


def _count(text):
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _amount(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _limits(options):
    from autograder.sandbox import Limits

    kinds = {f.name: type(f.default) for f in fields(Limits)}
    given = {
        name: kinds[name](value * scale)
        for name, (_, _, scale) in LIMITS.items()
        if (value := getattr(options, name)) is not None
    }
    return replace(Limits(), **given)


def _build(options):
    from autograder.build import build

    stale = build(check=options.check)
    if not options.check:
        print("\n".join(f"built {name}" for name in stale) or "lectures/ was up to date")
        return 0
    for name in stale:
        print(f"lectures/{name} is out of date: run `autograder build`", file=sys.stderr)
    return 1 if stale else 0


def _collect(options):
    from autograder.build import notebook_ids
    from autograder.gather import gather

    done = gather(options.sources, options.to, notebook_ids(), options.assignment)
    for line in done.remarks:
        print(line, file=sys.stderr)
    print(
        f"{options.to}: {done.new} new, {done.replaced} replaced, {done.unchanged} unchanged; "
        f"{len(done.remarks)} left out"
    )
    return 0


def _grade(options):
    from autograder import grade, report

    _, interrupted = grade.grade(
        options.submitted,
        options.out,
        assignment=options.assignment,
        workers=options.workers,
        scheduler=options.scheduler,
        sandbox=options.sandbox,
        limits=_limits(options),
        say=_say,
    )
    if interrupted:
        return 130
    print(f"report: {report.write(options.out)}")
    return 0


def _report(options):
    from autograder import report

    print(f"report: {report.write(options.out)}")
    return 0


def _regrade(options):
    from autograder import report
    from autograder.regrade import regrade

    _, interrupted = regrade(
        options.submitted,
        options.out,
        diff=options.diff,
        assignment=options.assignment,
        workers=options.workers,
        scheduler=options.scheduler,
        sandbox=options.sandbox,
        limits=_limits(options),
        say=_say,
    )
    if interrupted:
        return 130
    if not options.diff:
        print(f"report: {report.write(options.out)}")
    return 0


def _export(options):
    from autograder import export, record

    results = record.read_results(options.out)
    if not results:
        raise record.RecordError(f"nothing graded in {options.out}: run `autograder grade` first")
    filled, remarks = export.fill(options.roster, results, options.assignment)
    for line in remarks:
        print(line, file=sys.stderr)
    if options.to:
        record.write_atomically(options.to, filled)
        print(f"grades: {options.to}")
    else:
        print(filled, end="")
    return 0


def _publish(options):
    from autograder.publish import publish

    print(f"published {publish(options.folder)} files to {options.folder}: no answer is in them")
    return 0


def _selftest(options):
    if options.repeat:
        from autograder.flakiness import flakiness

        return flakiness(
            options.repeat,
            bank=options.bank,
            notebook=options.notebook,
            exercise=options.exercise,
            workers=options.workers,
            sandbox=options.sandbox,
            seed=options.seed,
        )
    from autograder.selftest import selftest

    return selftest(
        options.bank, options.notebook, options.workers, options.sandbox, options.exercise
    )


def _demo(options):
    from autograder.demo import demo

    return demo(options.out, workers=options.workers, sandbox=options.sandbox, say=_say)


def _say(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
