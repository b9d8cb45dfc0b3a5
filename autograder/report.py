"""report.html: what a class did, for its instructor. No script, light and dark, printable.

Beside it: grades.csv, files for Canvas and Moodle, similar.csv.
"""

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from urllib.parse import quote

from autograder import export, feedback, late, record, similarity
from autograder.feedback import WORDS
from autograder.page import number, page, text

BINS = 10
MISTAKES = Path(__file__).parent / "mutants"
MOST = 40  # lines of a list; the CSV files have all
MOST_TITLES = 4  # of the hidden checks that an exercise fails


def write(out):
    """Bring the results under `out` up to date with the gradebook (hand grades, late penalties),
    write report.html, grades.csv, canvas.csv, moodle.csv and similar.csv; returns the report's
    path. RecordError when nothing was graded there."""
    out = Path(out)
    results = record.read_results(out)
    if not results:
        raise record.RecordError(f"nothing graded in {out}: run `autograder grade` first")
    with record.open_gradebook(out) as gradebook:
        given = record.manual_scores(gradebook)
        for result in results:
            record.take_manual_scores(given, result)
        for result in late.assign(out, gradebook, results):
            feedback.write(out, result, _autograded(out, result))
    record.write_csv(out, results)
    export.write(out, results)
    answers, blanks = _answers(out, results)
    groups = {
        place: similarity.near_identical(found, blanks.get(place, ""))
        for place, found in answers.items()
    }
    similarity.write_csv(out, groups)
    path = out / "report.html"
    told = render(results, datetime.now(), resembled(results, answers), groups)
    record.write_atomically(path, told)
    return path


def _autograded(out, result):
    """The autograded notebook of a result, None if there is none."""
    import nbformat

    name = result["assignment"]
    path = Path(out) / "autograded" / result["student"] / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4) if path.is_file() else None


def _answers(out, results):
    """((assignment, exercise) -> student -> source, (assignment, exercise) -> what was given)."""
    import json

    import nbformat

    from autograder.restore import blank_notebook

    answers, blanks = defaultdict(dict), {}

    def solutions(cells):
        for cell in cells:
            nbgrader = cell["metadata"].get("nbgrader", {})
            if nbgrader.get("solution") and cell["cell_type"] == "code":
                source = cell["source"]
                yield nbgrader["grade_id"], source if isinstance(source, str) else "".join(source)

    for name in sorted({r["assignment"] for r in results}):
        path = Path(out) / "source" / name / f"{name}.ipynb"
        if path.is_file():
            blank = blank_notebook(nbformat.read(path, as_version=4))
            blanks |= {(name, e): source for e, source in solutions(blank.cells)}
    for result in results:
        name = result["assignment"]
        path = Path(out) / "autograded" / result["student"] / name / f"{name}.ipynb"
        try:
            cells = json.loads(path.read_bytes())["cells"]
        except (OSError, ValueError):
            continue
        for exercise, source in solutions(cells):
            if source.strip() != blanks.get((name, exercise), "").strip():
                answers[name, exercise][result["student"]] = source
    return answers, blanks


def resembled(results, answers):
    """(assignment, exercise) -> Counter of known mistakes that the wrong answers resemble, with
    None for those that resemble none."""
    found = {}
    for name in sorted({r["assignment"] for r in results}):
        known = similarity.known_mistakes(MISTAKES, name)
        for result in results:
            for v in result["verdicts"] if result["assignment"] == name else ():
                source = answers.get((name, v["exercise"]), {}).get(result["student"])
                wrong = v["status"] == "graded" and v["score"] is not None
                if v["exercise"] in known and source and wrong and v["score"] < v["max_score"]:
                    nearest = similarity.resembled(source, *known[v["exercise"]])
                    counts = found.setdefault((name, v["exercise"]), Counter())
                    counts[nearest and nearest[0]] += 1
    return found


def render(results, now=None, mistakes=None, groups=None):
    """The page as text. results: as kept by grading, one per student and assignment. mistakes:
    see `resembled`. groups: (assignment, exercise) -> groups of similarity.near_identical."""
    assignments = sorted({r["assignment"] for r in results})
    students = sorted({r["student"] for r in results})
    waiting = sum(v["score"] is None for r in results for v in r["verdicts"])
    spent = [r["seconds"]["total"] for r in results if r["seconds"].get("total")]
    facts = [f"{len(students)} students", f"{len(results)} submissions"]
    if spent:
        facts.append(f"median {median(spent):.1f} s a submission, {sum(spent) / 60:.1f} min in all")
    if now:
        facts.append(f"{now:%Y-%m-%d %H:%M}")
    parts = ["<h1>Grading report</h1>", f'<p class="soft">{" · ".join(facts)}</p>']
    if waiting:
        noun = "answers wait" if waiting > 1 else "answer waits"
        parts.append(
            f'<p class="wait"><strong>{waiting} {noun} for a hand grade.</strong> '
            "No rate or mean below counts them.</p>"
        )
    parts.append(_notebooks(results, assignments))
    parts.append(_statuses(results))
    for name in assignments:
        mine = [r for r in results if r["assignment"] == name]
        parts.append(_assignment(name, mine))
        parts.append(_wrong(name, mine, mistakes or {}))
    parts.append(_students(results, students, assignments))
    parts.append(_late(results))
    parts.append(_similar(groups or {}))
    parts.append(_remarks(results))
    return page("Grading report", "\n".join(p for p in parts if p))


def _absent(result):
    return all(v["status"] == "missing" for v in result["verdicts"])


def _share(result):
    """Points earned of the points that are decided, 0..1; None if all wait for a hand grade."""
    decided = [v for v in result["verdicts"] if v["score"] is not None]
    best = sum(v["max_score"] for v in decided)
    return sum(v["score"] for v in decided) / best if best else None


def _notebooks(results, assignments):
    """A line for each notebook, which leads to its part of the page."""
    if len(assignments) < 2:
        return ""
    rows = []
    for name in assignments:
        mine = [r for r in results if r["assignment"] == name]
        handed_in = [r for r in mine if not _absent(r)]
        shares = [s for s in map(_share, handed_in) if s is not None]
        waiting = sum(v["score"] is None for r in mine for v in r["verdicts"])
        middle = f"{_bar(median(shares))} {median(shares):.0%}" if shares else "–"
        rows.append(
            f'<tr><td><a href="#{quote(name)}">{text(name)}</a></td>'
            f'<td class="n">{len(handed_in)} of {len(mine)}</td><td>{middle}</td>'
            f'<td class="n">{f"{mean(shares):.0%}" if shares else "–"}</td>'
            f'<td class="n">{waiting or "–"}</td></tr>'
        )
    return (
        '<h2>Notebooks</h2><div class="wide"><table><tr><th>notebook</th>'
        "<th class='n'>handed in</th><th>median of the points</th><th class='n'>mean</th>"
        f"<th class='n'>answers by hand</th></tr>{''.join(rows)}</table></div>"
    )


def _statuses(results):
    """How many exercises ended in each status."""
    counts = {status: 0 for status in record.STATUSES}
    for result in results:
        for v in result["verdicts"]:
            counts[v["status"]] += 1
    lines = "".join(
        f'<tr><td>{status}</td><td class="n">{n}</td><td>{WORDS[status]}</td></tr>'
        for status, n in counts.items()
        if n
    )
    return (
        "<h2>Exercises by status</h2><table><tr><th>status</th><th class='n'>exercises</th>"
        f"<th>meaning</th></tr>{lines}</table>"
    )


def _assignment(name, results):
    handed_in = [r for r in results if not _absent(r)]
    absent = len(results) - len(handed_in)
    shares = [s for s in map(_share, handed_in) if s is not None]
    facts = f"{len(handed_in)} handed in, {absent} missing"
    if shares:
        facts += f" · mean {mean(shares):.0%}, median {median(shares):.0%} of those handed in"
    spent = [r["seconds"]["total"] for r in handed_in if r["seconds"].get("total")]
    if spent:
        facts += f" · grading took {median(spent):.1f} s (median), {max(spent):.1f} s at most"
    return "\n".join(
        [
            f'<h2 id="{quote(name)}">{text(name)}</h2>',
            f'<p class="soft">{facts}</p>',
            _histogram(shares, name),
            _exercises(handed_in),
        ]
    )


def _exercises(results):
    """Per exercise: who has full marks, the mean, what went wrong. Hand grades to come apart."""
    if not results:
        return ""
    rows = []
    for v in results[0]["verdicts"]:
        mine = [w for r in results for w in r["verdicts"] if w["exercise"] == v["exercise"]]
        done = [w for w in mine if w["score"] is not None]
        waiting = len(mine) - len(done)
        passed = sum(w["score"] >= w["max_score"] for w in done)
        odd = [w["status"] for w in done if w["status"] != "graded"]
        notes = [f"{odd.count(status)} {status}" for status in record.STATUSES if status in odd]
        if waiting:
            notes.append(f"{waiting} by hand")
        graded = bool(done) and v["max_score"] > 0
        full = f"{_bar(passed / len(done))} {passed / len(done):.0%}" if graded else "–"
        average = f"{number(mean(w['score'] for w in done))}" if done else "–"
        rows.append(
            f"<tr><td><code>{text(v['exercise'])}</code></td><td>{full}</td>"
            f'<td class="n">{average} / {number(v["max_score"])}</td><td>{", ".join(notes)}'
            "</td></tr>"
        )
    return (
        '<div class="wide"><table><tr><th>exercise</th><th>full marks</th>'
        f"<th class='n'>mean</th><th>did not run</th></tr>{''.join(rows)}</table></div>"
    )


def _wrong(name, results, mistakes):
    """Per exercise: the hidden checks that most answers fail, the known mistakes they resemble."""
    rows = []
    for v in results[0]["verdicts"]:
        exercise = v["exercise"]
        failed = Counter(
            title
            for r in results
            for w in r["verdicts"]
            if w["exercise"] == exercise and w["message"] != "not implemented"
            for title, passed, _ in w["properties"]
            if not passed
        )
        counts = mistakes.get((name, exercise), Counter())
        if not failed and not counts:
            continue
        checks = [f"{n} × {text(title)}" for title, n in failed.most_common(MOST_TITLES)]
        if len(failed) > MOST_TITLES:
            checks.append(f"and {len(failed) - MOST_TITLES} more")
        named = Counter({mistake: n for mistake, n in counts.items() if mistake})
        like = [
            f"{n} × {text(mistake.replace('_', ' '))}"
            for mistake, n in named.most_common(MOST_TITLES)
        ]
        rest = counts.total() - sum(n for _, n in named.most_common(MOST_TITLES))
        if rest and counts:
            like.append(f'<span class="soft">{rest} × {"others" if like else "none"}</span>')
        rows.append(
            f"<tr><td><code>{text(exercise)}</code></td><td>{'<br>'.join(checks) or '–'}</td>"
            f"<td>{'<br>'.join(like) or '–'}</td></tr>"
        )
    if not rows:
        return ""
    return (
        f'<h3>Where answers go wrong</h3><div class="wide"><table><tr><th>exercise</th>'
        f"<th>hidden checks that fail</th><th>resembles the known mistake</th></tr>{''.join(rows)}"
        '</table></div><p class="soft">A failed core check ends an exercise, so later checks may '
        "hide behind it. Resemblance compares the shape of code with the project's collection of "
        "wrong answers: a hint what to read first; nobody has checked that the mistake is the same."
        "</p>"
    )


def _late(results):
    """Who was late, by how much, and what it costs by nbgrader's rule."""
    found = [r for r in results if r.get("late") and not _absent(r)]
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{text(r['student'])}</td><td>{text(r['assignment'])}</td>"
        f"<td>{late.how_late(r['late']['seconds'])}</td>"
        f'<td class="n">{number(r["late"]["penalty"])}</td></tr>'
        for r in found
    )
    return (
        f'<h2>Late ({len(found)})</h2><div class="wide"><table><tr><th>student</th>'
        "<th>notebook</th><th>late by</th><th class='n'>penalty, points</th></tr>"
        f"{rows}</table></div>"
        '<p class="soft">nbgrader\'s rule, see nbgrader_config.py. Scores of exercises and rates '
        "on this page are without penalties; sums of students and the files for Canvas and Moodle "
        "are with them.</p>"
    )


def _similar(groups):
    """Groups of near-identical answers."""
    found = sorted(
        (
            (-similar, not same, assignment, exercise, students)
            for (assignment, exercise), mine in groups.items()
            for similar, same, students in mine
        ),
    )
    if not found:
        return ""
    rows = "".join(
        f'<tr><td class="points">{text(assignment)}<br><code>{text(exercise)}</code></td>'
        f'<td class="points">{-similar:.0%}{"" if differ else "<br>same text"}</td>'
        f"<td>{', '.join(map(text, students[:MOST]))}"
        f"{f' and {len(students) - MOST} more' if len(students) > MOST else ''}</td></tr>"
        for similar, differ, assignment, exercise, students in found[:MOST]
    )
    more = f" The first {MOST} are shown." if len(found) > MOST else ""
    return (
        f'<h2>Near-identical answers ({len(found)})</h2><div class="wide"><table><tr>'
        f"<th>exercise</th><th>alike</th><th>students</th></tr>{rows}</table></div>"
        '<p class="soft">What was handed out is taken away before comparing; names of variables, '
        "comments and layout do not count; short answers are left out. Two people can write the "
        f"same answer: read both before you say anything. All of them: similar.csv.{more}</p>"
    )


def _bar(share, width=120):
    """A bar beside its number, so hidden from screen readers."""
    return (
        f'<svg width="{width}" height="12" viewBox="0 0 {width} 12" aria-hidden="true">'
        f'<rect class="track" x=".5" y=".5" width="{width - 1}" height="11"/>'
        f'<rect class="bar" x="1" y="1" width="{share * (width - 2):.1f}" height="10"/></svg>'
    )


def bins(shares):
    """How many of the shares (0..1) fall in each tenth; the last one holds 100 % too."""
    counts = [0] * BINS
    for share in shares:
        counts[min(int(share * BINS + 1e-9), BINS - 1)] += 1
    return counts


def _histogram(shares, name):
    """How many submissions in each tenth of the points, with the numbers written on the bars."""
    if not shares:
        return ""
    counts = bins(shares)
    width, height, floor = 56, 110, 130
    tallest = max(counts)
    marks = []
    for i, n in enumerate(counts):
        tall = n / tallest * height
        x = 10 + i * width
        last = "100" if i == BINS - 1 else f"{(i + 1) * 10 - 1}"
        marks.append(
            f'<rect class="bar" x="{x + 3}" y="{floor - tall:.1f}" width="{width - 6}" '
            f'height="{tall:.1f}"/>'
        )
        label = (
            f'<text x="{x + width / 2}" y="{floor - tall - 5:.1f}" text-anchor="middle">{n}</text>'
        )
        marks.append(label * bool(n))
        marks.append(
            f'<text x="{x + width / 2}" y="{floor + 16}" text-anchor="middle">{i * 10}–{last}'
            "</text>"
        )
    across = BINS * width + 20
    told = "; ".join(f"{i * 10} to {(i + 1) * 10} %: {n}" for i, n in enumerate(counts) if n)
    return (
        f'<figure style="margin:0"><svg viewBox="0 0 {across} {floor + 40}" width="{across}" '
        f'role="img" aria-label="Distribution of scores in {text(name)}. {told}.">'
        f'<line class="axis" x1="10" x2="{across - 10}" y1="{floor}" y2="{floor}"/>'
        f"{''.join(marks)}"
        f'<text x="{across / 2}" y="{floor + 34}" text-anchor="middle">'
        "submissions by share of the points, %</text></svg></figure>"
    )


def _students(results, students, assignments):
    """Students x notebooks; each score leads to its feedback page."""
    by = {(r["student"], r["assignment"]): r for r in results}
    head = "".join(f"<th>{text(a)}</th>" for a in assignments)
    rows = []
    for student in students:
        cells = "".join(f"<td>{_score(by.get((student, a)))}</td>" for a in assignments)
        rows.append(f"<tr><td>{text(student)}</td>{cells}</tr>")
    return (
        '<h2>Students</h2><div class="wide"><table>'
        f"<tr><th>student</th>{head}</tr>{''.join(rows)}</table></div>"
    )


def _score(result):
    if result is None:
        return "–"
    student, assignment = result["student"], result["assignment"]
    link = quote(f"feedback/{student}/{assignment}/{assignment}.html")
    penalty = (result.get("late") or {}).get("penalty", 0.0)
    got = max(0.0, sum(v["score"] or 0 for v in result["verdicts"]) - penalty)
    best = sum(v["max_score"] for v in result["verdicts"])
    statuses = {v["status"] for v in result["verdicts"]} - {"graded"}
    odd = [s for s in record.STATUSES if s in statuses]
    told = ", ".join("by hand" if s == "ungraded" else s for s in odd)
    if result.get("late") and not _absent(result):
        told = ", ".join(filter(None, [told, f"late {late.how_late(result['late']['seconds'])}"]))
    told = f'<br><span class="soft">{told}</span>' if told else ""
    return f'<a href="{text(link)}">{number(got)} / {number(best)}</a>{told}'


def _remarks(results):
    """What was refused, what failed to run, what was repaired: a line each."""
    refused, failed, repaired = [], [], []
    for r in results:
        name = f"{text(r['student'])}, {text(r['assignment'])}"
        statuses = {v["status"] for v in r["verdicts"]}
        if statuses == {"unreadable"}:
            refused.append(f"{name}: {text(r['verdicts'][0]['message'])}")
        failed += [
            f"{name}, <code>{text(v['exercise'])}</code>: {v['status']}: {text(v['message'])}"
            for v in r["verdicts"]
            if v["status"] in ("timeout", "memory", "crash")
        ]
        if r["repairs"]:
            lines = "".join(f"<li>{text(line)}</li>" for line in r["repairs"])
            noun = "notes" if len(r["repairs"]) > 1 else "note"
            told = f"<summary>{name}: {len(r['repairs'])} {noun}</summary><ul>{lines}</ul>"
            repaired.append(f"<details>{told}</details>")
    parts = []
    for title, lines in (
        ("Refused", refused),
        ("Did not run to the end", failed),
        ("Noticed or repaired", repaired),
    ):
        if lines:
            items = "".join(f"<li>{line}</li>" for line in lines)
            parts.append(f"<h2>{title} ({len(lines)})</h2><ul>{items}</ul>")
    return "\n".join(parts)
