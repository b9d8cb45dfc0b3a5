"""One page per submission for its student: scores, what holds and what does not, the graded code.

The page is made of the judge's verdicts and of the student's own cells and outputs. It has no
access to hidden tests, so it can show none of their code, inputs or expected values.
"""

from pathlib import Path

from autograder.late import how_late
from autograder.page import number, page, text
from autograder.record import graded_cells, is_png, write_atomically

WORDS = {
    "graded": "graded by the hidden checks",
    "ungraded": "waits for a hand grade",
    "timeout": "took too long",
    "memory": "used too much memory",
    "crash": "ended the Python process",
    "unreadable": "could not be read",
    "missing": "not handed in",
}
MOST_OUTPUTS = 20  # of one cell
MOST_IMAGE = 2_000_000  # base64 characters of one image


def write(out, result, notebook):
    """Write feedback/<student>/<id>/<id>.html under `out`; returns its path.

    `result`: what grading gave, with `student` and `assignment`. `notebook`: the autograded
    notebook or None.
    """
    student, assignment = result["student"], result["assignment"]
    path = Path(out) / "feedback" / student / assignment / f"{assignment}.html"
    write_atomically(path, render(result, notebook))
    return path


def render(result, notebook):
    """The page as text."""
    verdicts = result["verdicts"]
    got = sum(v["score"] or 0 for v in verdicts)
    best = sum(v["max_score"] for v in verdicts)
    waiting = sum(v["score"] is None for v in verdicts)
    title = f"{result['assignment']}: {result['student']}"
    parts = [
        f"<h1>{text(result['assignment'])}</h1>",
        f'<p class="soft">{text(result["student"])}</p>',
        f'<p><strong class="points">{number(got)} of {number(best)} points</strong>'
        + (f", {waiting} answer{'s' * (waiting > 1)} still to be graded by hand" * bool(waiting))
        + "</p>",
    ]
    if result.get("late") and {v["status"] for v in verdicts} != {"missing"}:
        penalty = result["late"]["penalty"]
        cost = f"{number(penalty)} points are taken off" if penalty else "no points are taken off"
        cost += f": {number(max(0.0, got - penalty))} of {number(best)}" * bool(penalty)
        parts.append(f"<p>Handed in {how_late(result['late']['seconds'])} late; {cost}.</p>")
    if result["repairs"]:
        lines = "".join(f"<li>{text(line)}</li>" for line in result["repairs"])
        parts.append(
            "<section><h2>What was noticed or repaired in your file</h2>"
            f"<ul>{lines}</ul><p class='soft'>Repairs cost no points.</p></section>"
        )
    own = _cells(notebook)
    parts += [_exercise(v, *own.get(v["exercise"], (None, None, True))) for v in verdicts]
    return page(title, "\n".join(parts))


def _cells(notebook):
    """exercise -> (solution cell or None, test cell or None, whether its outputs may be shown)."""
    if notebook is None:
        return {}
    by_id = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader")}
    found = {}
    for exercise, grade_id, _ in graded_cells(notebook):
        test = by_id[grade_id]
        # A test that stands in its cell may print itself when it fails: such a cell is not shown.
        found[exercise] = by_id.get(exercise), test, 'hidden("' in test.source
    return found


def _exercise(v, solution, test, show_outputs):
    state, word = _state(v)
    points = "–" if v["score"] is None else number(v["score"])
    parts = [
        f"<section><h2><code>{text(v['exercise'])}</code>"
        f'<span class="points {state}">{word} · {points} / {number(v["max_score"])}</span></h2>'
    ]
    if v["message"]:
        parts.append(f"<p>{text(v['message'])}</p>")
    if v["properties"]:
        parts.append(f'<ul class="checks">{"".join(map(_property, v["properties"]))}</ul>')
    if solution is not None:
        parts.append(
            "<details open><summary>Your answer as it was graded</summary>"
            f"<pre>{text(solution.source, 50_000)}</pre></details>"
        )
        parts += _outputs(solution, "What your cell printed")
    if test is not None and test is not solution and show_outputs:
        parts += _outputs(test, "The visible check, in your notebook (it does not count)")
    return "\n".join([*parts, "</section>"])


def _state(v):
    """(class, word): the colour only underlines the word."""
    if v["score"] is None:
        return "wait", WORDS["ungraded"]
    if v["status"] != "graded":
        return "bad", WORDS[v["status"]]
    if v["score"] >= v["max_score"]:
        return "good", "complete"
    return "bad", "in part" if v["score"] else "not yet"


def _property(entry):
    title, passed, message = entry
    mark, state, word = ("✓", "good", "holds") if passed else ("✗", "bad", "not yet")
    told = f": {text(message)}" if message else ""
    return f'<li><span class="{state}">{mark} {word}</span> {text(title)}{told}</li>'


def _outputs(cell, title):
    """Text and PNG images of a cell, nothing else: no page of ours runs what a student wrote."""
    shown = []
    for output in cell.get("outputs", ())[:MOST_OUTPUTS]:
        kind = output.output_type
        if output.get("metadata", {}).get("autograder"):
            continue  # the message above, as the gradebook has it
        if kind == "stream":
            shown.append(f"<pre>{text(_joined(output.text))}</pre>")
        elif kind == "error":
            shown.append(f"<pre>{text(f'{output.ename}: {output.evalue}', 2000)}</pre>")
        elif kind in ("display_data", "execute_result"):
            image = _joined(output.data.get("image/png", ""))
            said = _joined(output.data.get("text/plain", ""))
            if is_png(image) and len(image) <= MOST_IMAGE:
                source = "".join(image.split())
                shown.append(f'<img alt="{text(said, 200)}" src="data:image/png;base64,{source}">')
            elif kind == "display_data" and said:
                shown.append(f"<pre>{text(said)}</pre>")
    if not shown:
        return []
    return [f"<details><summary>{title}</summary>", *shown, "</details>"]


def _joined(value):
    return "".join(value) if isinstance(value, list) else str(value)
