"""nbgrader's own commands with this grader inside: `nbgrader autograde`, formgrader's button.

nbgrader converts a submission twice. In its first pass, GradeSubmission puts in place of what was
handed in what `autograder grade` makes of it, restored, judged and run, with the score of each test
cell as nbgrader's partial credit. In its second pass nbgrader saves these scores. So both commands
give the same scores in the same gradebook. nbgrader_config.py puts these classes in their lists.
"""

import atexit
import json
import os
import re
import stat
from pathlib import Path

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Dict, Unicode

from autograder import record
from autograder.build import notebook_text
from autograder.collect import read_attachments
from autograder.restore import Unreadable, blank_notebook, is_ours, read_submission, restore

HIDDEN = re.compile(
    r"^[^\n]*BEGIN HIDDEN TESTS[^\n]*\n.*?END HIDDEN TESTS[^\n]*\n?", re.DOTALL | re.MULTILINE
)
_workers = None  # started at the first submission, kept for all others of this nbgrader process


class SubmissionExporter(NotebookExporter):
    """Reads what was handed in as bytes, whatever they are: no link, no pipe, no broken JSON.

    nbgrader's own reader follows links to other students' work and hangs on a pipe.
    """

    def from_filename(self, filename, resources=None, **options):
        """Convert a submission by GradeSubmission, any other notebook as usual."""
        coursedir = self.parent.coursedir
        where = resources["nbgrader"]
        folder = coursedir.format_path(
            coursedir.submitted_directory, where["student"], where["assignment"]
        )
        if os.path.abspath(os.path.dirname(filename)) != os.path.abspath(folder):
            return super().from_filename(filename, resources=resources, **options)
        root = coursedir.format_path(coursedir.submitted_directory, ".", ".")
        self.files = read_attachments(resources["nbgrader"]["notebook"], folder, root)
        try:
            self.submission = read_submission(filename, root)
        except Unreadable as error:
            self.submission = error
        empty = nbformat.v4.new_notebook()
        return self.from_notebook_node(empty, resources=resources, **options)


class GradeSubmission(NbGraderPreprocessor):
    """Grades a submission as `autograder grade` does; its output is the graded notebook."""

    sandbox = Unicode("auto", help='"auto", "bwrap", or "none" for code that you trust').tag(
        config=True
    )
    limits = Dict(help="fields of autograder.sandbox.Limits, as cell_seconds=60").tag(config=True)
    hidden_directory = Unicode(
        "", help="where <notebook>.py holds the hidden tests; by default the course's own"
    ).tag(config=True)

    def preprocess(self, nb, resources):
        """The graded notebook in place of `nb`. An unreadable submission is blank, with zeros."""
        where = resources["nbgrader"]
        submission = self.parent.submission  # of the SubmissionExporter that calls this
        coursedir = self.parent.parent.coursedir
        source = instructors_notebook(coursedir, where)
        name = f"{where['student']}/{where['notebook']}"
        if isinstance(submission, Unreadable):
            return self._blank(name, source, submission), resources
        try:
            result = self._grade(coursedir, where, source, submission)
        except RuntimeError as error:  # a fault of the grader; nbgrader shows it and goes on
            raise RuntimeError(f"{name} could not be graded: {error}") from None
        for line in result["repairs"]:
            self.log.warning("%s: %s", name, line)
        verdicts = result["verdicts"]
        if result["notebook"] is None:
            problem = Unreadable(verdicts[0]["status"], verdicts[0]["message"])
            return self._blank(name, source, problem), resources
        notebook = nbformat.from_dict(result["notebook"])
        tests = {e for e, grade_id, _ in record.graded_cells(source) if grade_id != e}
        for verdict in verdicts:
            if verdict["score"] is None and verdict["exercise"] in tests:
                message = f"{verdict['exercise']}: {verdict['message']}"
                raise RuntimeError(f"{name} has no score, grade it by hand: {message}")
            if verdict["status"] not in ("graded", "ungraded"):
                self.log.warning(
                    "%s: %s: %s: %s",
                    *(name, verdict["exercise"], verdict["status"], verdict["message"]),
                )
        return notebook, resources

    def _grade(self, coursedir, where, source, submission: bytes) -> dict:
        from autograder import grade
        from autograder.sandbox import Limits

        limits = Limits(**self.limits)
        hidden = None
        if is_ours(source):
            if self.hidden_directory:
                hidden = Path(self.hidden_directory, f"{where['notebook']}.py").read_text("utf-8")
            else:
                hidden = grade.hidden_tests(where["notebook"], source)
        secret = grade.course_seed(coursedir.root)
        seed = grade.submission_seed(secret, where["notebook"], where["student"])
        job = grade.make_job(
            *(where["notebook"], source, submission, seed, limits, self.sandbox, hidden),
            self.parent.files,
        )
        future = _workers_of(limits).submit(grade.grade_submission, job)
        return json.loads(future.result())

    def _blank(self, name, source, problem):
        self.log.warning("%s: %s: %s", name, problem.status, problem)
        notebook = restore(notebook_text(blank_notebook(source)).encode(), source).notebook
        zero = [nbformat.v4.new_output("execute_result", {"text/plain": "0"})]
        for cell in notebook.cells:
            if utils.is_grade(cell) and cell.cell_type == "code":
                cell.outputs = zero
        message = nbformat.v4.new_markdown_cell(f"**Not graded: {problem}.**", id="not-graded")
        notebook.cells.insert(0, message)
        return notebook


def instructors_notebook(coursedir, where):
    """The notebook in the course's source folder, its tests as nbgrader's database holds them."""
    folder = coursedir.format_path(coursedir.source_directory, ".", where["assignment"])
    path = Path(folder, f"{where['notebook']}.ipynb")
    if not path.is_file():
        raise RuntimeError(f"no instructor's notebook {path}: put it there and grade again")
    source = nbformat.read(path, as_version=4)
    if is_ours(source):
        return source
    # Another course's tests may have been made by nbgrader (AUTOTEST): the database has the result.
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        for cell in source.cells:
            if utils.is_locked(cell):
                grade_id = cell.metadata.nbgrader.grade_id
                try:
                    found = gradebook.find_source_cell(
                        grade_id, where["notebook"], where["assignment"]
                    )
                except MissingEntry:
                    continue
                cell.source = found.source
    return source


def _workers_of(limits):
    """One worker process: nbgrader grades one submission after another, in whatever thread."""
    global _workers
    if _workers is None:
        from autograder.workers import LocalWorkers

        _workers = LocalWorkers(1, 2 * limits.notebook_seconds + 300)
        atexit.register(_workers.shutdown, cancel_futures=True)
    return _workers


class HideTests(NbGraderPreprocessor):
    """For feedback: takes hidden tests out of the cells, and their lines out of tracebacks."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Drop the hidden region of a graded cell; of its errors only the name is left."""
        if utils.is_grade(cell) and HIDDEN.search(cell.source):
            cell.source = HIDDEN.sub("", cell.source).rstrip()
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    output.evalue, output.traceback = "", [f"{output.ename} in a test"]
        return cell, resources


def refuse_links(assignment, student, notebooks):
    """nbgrader's pre_convert_hook: take links and devices out of a submission before it is copied.

    nbgrader copies the files beside a notebook and follows links: one to a system file would end
    up in the feedback folder, one to /dev/zero would fill the disk.
    """
    from traitlets.log import get_logger

    for folder in {Path(notebook).parent for notebook in notebooks}:
        for path in (folder.parent, folder):  # the student's folder, the assignment's
            if path.is_symlink():
                get_logger().warning("a link was taken out of the submissions: %s", path)
                path.unlink()
                break
        else:
            for place, folders, files in os.walk(folder):
                for name in (*folders, *files):
                    path = Path(place, name)
                    if path.suffix == ".ipynb":  # not copied; SubmissionExporter says what it is
                        continue
                    mode = path.lstat().st_mode
                    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                        get_logger().warning("no plain file, taken out: %s", path)
                        path.unlink()
