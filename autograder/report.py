"""report.html: what a class did, for its instructor. No script, light and dark, printable."""

from datetime import datetime
from pathlib import Path
from statistics import mean, median
from urllib.parse import quote

from autograder import record
from autograder.feedback import WORDS
from autograder.page import number, page, text

BINS = 10


def write(out):
    """Bring the results under `out` up to date with the gradebook and write report.html and
    grades.csv; returns the report's path. RecordError when nothing was graded there."""
    out = Path(out)
    results = record.read_results(out)
    if not results:
        raise record.RecordError(f"nothing graded in {out}: run `autograder grade` first")
    with record.open_gradebook(out) as gradebook:
        for result in results:
            record.take_manual_scores(gradebook, result)
    record.write_csv(out, results)
    path = out / "report.html"
    record.write_atomically(path, render(results, datetime.now()))
    return path


def render(results, now=None):
    """The page as text. `results`: as kept by grading, one per student and assignment."""
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
    parts.append(_statuses(results))
    for name in assignments:
        parts.append(_assignment(name, [r for r in results if r["assignment"] == name]))
    parts.append(_students(results, students, assignments))
    parts.append(_remarks(results))
    return page("Grading report", "\n".join(p for p in parts if p))


def _absent(result):
    return all(v["status"] == "missing" for v in result["verdicts"])


def _share(result):
    """Points earned of the points that are decided, 0..1; None if all wait for a hand grade."""
    decided = [v for v in result["verdicts"] if v["score"] is not None]
    best = sum(v["max_score"] for v in decided)
    return sum(v["score"] for v in decided) / best if best else None


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
    return "\n".join(
        [
            f"<h2>{text(name)}</h2>",
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
    got = sum(v["score"] or 0 for v in result["verdicts"])
    best = sum(v["max_score"] for v in result["verdicts"])
    statuses = {v["status"] for v in result["verdicts"]} - {"graded"}
    odd = [s for s in record.STATUSES if s in statuses]
    told = ", ".join("by hand" if s == "ungraded" else s for s in odd)
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
            repaired.append(f"{name}<ul>{lines}</ul>")
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
