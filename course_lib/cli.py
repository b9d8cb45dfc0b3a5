"""The `course` command."""

import argparse


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 when all is well."""
    parser = argparse.ArgumentParser(prog="course", description="The student's command.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="check versions, device, memory, disk and what will run")
    parser.parse_args(argv)
    from course_lib.doctor import main as doctor

    return doctor()
