"""The `course` command."""

import argparse


def parser() -> argparse.ArgumentParser:
    """The argument parser; nothing heavy is imported for --help."""
    top = argparse.ArgumentParser(prog="course", description="The student's command.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="check versions, device, memory, disk and what will run")
    submit = commands.add_parser(
        "submit",
        help="check a notebook and write the one file to hand in",
        description="Mends what a tool lost, runs your answers and the visible checks, and writes "
        "the one file to hand in. Your notebook is not changed. Takes a file from Colab too.",
    )
    submit.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")
    submit.add_argument("--out", metavar="DIR", help="default: hand_in/ beside the notebook")
    submit.add_argument("--id", help="which notebook it is, if neither its name nor its cells tell")
    submit.add_argument("--no-run", action="store_true", help="mend and write, run nothing")
    submit.add_argument(
        "--seconds", type=float, default=60, help="limit of one cell with its check (60)"
    )
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 when all is well."""
    options = parser().parse_args(argv)
    if options.command == "doctor":
        from course_lib.doctor import main as doctor

        return doctor()
    from course_lib.submit import main as submit

    return submit(options)
