"""Late penalties, by nbgrader's own mechanism.

The due date stands in nbgrader's gradebook (formgrader, or `nbgrader db assignment add ID
--duedate=...`), the time of hand-in in timestamp.txt beside a notebook, the rule in the course
directory's nbgrader_config.py (`c.LateSubmissionPlugin.penalty_method = "zero"`, or a plug-in of
one's own in `c.AssignLatePenalties.plugin_class`). nbgrader subtracts the penalty from a notebook's
sum; the scores of its exercises stay as they are. As in nbgrader, no rule is no penalty.
"""

import json
from pathlib import Path

from autograder import record


def assign(out, gradebook, results) -> list[dict]:
    """Bring every submission's penalty up to date: in the gradebook, and as `late` (seconds,
    penalty) in the results, which are changed. Returns those in which it changed."""
    from nbgrader.api import MissingEntry

    step, changed = None, []
    for name in sorted({r["assignment"] for r in results}):
        mine = {r["student"]: r for r in results if r["assignment"] == name}
        try:
            submissions = gradebook.assignment_submissions(name)
        except MissingEntry:
            continue
        for submission in submissions:
            result = mine.get(submission.student_id)
            if result is None or not submission.notebooks:
                continue
            seconds = submission.total_seconds_late
            late = None
            notebook = submission.notebooks[0]
            penalty = None
            if seconds > 0:
                step = step or _nbgraders_step(out)
                penalty = step.plugin_inst.late_submission_penalty(
                    submission.student_id, notebook.score, seconds
                )
                if penalty is not None:
                    penalty = step._check_late_penalty(notebook, penalty)
                late = {"seconds": seconds, "penalty": penalty or 0.0}
            if notebook.late_submission_penalty != penalty:
                notebook.late_submission_penalty = penalty
            if result.get("late") != late:
                result["late"] = late
                changed.append(result)
        gradebook.db.commit()
    for result in changed:
        path = record.result_path(out, result["student"], result["assignment"])
        record.write_atomically(path, json.dumps(result))
    return changed


def _nbgraders_step(out):
    """nbgrader's AssignLatePenalties with its plug-in, as the course directory configures them."""
    with record.quiet():
        from nbgrader.preprocessors import AssignLatePenalties
        from traitlets.config import ConfigFileNotFound, PyFileConfigLoader

    try:
        config = PyFileConfigLoader("nbgrader_config.py", path=str(Path(out).resolve()))
        config = config.load_config()
    except ConfigFileNotFound:
        config = None
    except Exception as error:
        told = record.one_line(f"{type(error).__name__}: {error}")
        raise record.RecordError(f"{Path(out) / 'nbgrader_config.py'} fails: {told}") from None
    step = AssignLatePenalties(config=config)
    step.init_plugin()
    return step


def total(result) -> float | None:
    """The points of a submission after the penalty; None while an answer that has points waits for
    a hand grade."""
    if any(v["score"] is None and v["max_score"] > 0 for v in result["verdicts"]):
        return None
    penalty = (result.get("late") or {}).get("penalty", 0.0)
    return max(0.0, sum(v["score"] or 0.0 for v in result["verdicts"]) - penalty)


def how_late(seconds) -> str:
    """`2 days 3 h`, `45 min`, `20 s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'s' * (days > 1)}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes else f"{rest} s"
