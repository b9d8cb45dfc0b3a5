"""A check's report as HTML and as text; both say everything.

The HTML has to survive JupyterLab's sanitiser (a notebook that is not trusted): inline styles
only, no script, no svg. Text takes the theme's colours; a status is an icon and a word, and
colour only repeats it.
"""

import html

from course_lib.checking import Outcome, Report
from course_lib.show import html_text

_LOOK = {  # status: icon, word, colour of the rule at the left
    "pass": ("✓", "pass", "#009E73"),
    "fail": ("✗", "not yet", "#D55E00"),
    "error": ("!", "error", "#D55E00"),
    "not run": ("○", "not run", "#8a8a8a"),
}
_GRID_FONT = "font-family:monospace; font-size:90%"


def _facts(outcome: Outcome):
    """(label, text, is it code?) for everything there is to say about a case."""
    facts = [
        ("You called", outcome.call, True),
        ("Expected", outcome.expected, True),
        ("Your code raised" if outcome.status == "error" else "Your code returned",
         outcome.got, True),
        ("Where", outcome.where, True),
        ("Difference", outcome.detail, False),
        ("Likely mistake", outcome.mistake, False),
    ]  # fmt: skip
    if outcome.kind in ("modified argument", "unusable result"):
        facts[2] = ("What came of it", outcome.got, True)
    return [fact for fact in facts if fact[1]]


def _picture(outcome):
    """(expected, got) as grids, unless they look alike (only the shape or dtype differs)."""
    grids = outcome.difference.grids if outcome.difference is not None else None
    if not grids:
        return None
    alike = _same_size(grids) and not any(
        _differs(grids, i, j) for i, row in enumerate(grids[0]) for j in range(len(row))
    )
    return None if alike else grids


def _icon(report):
    return "✓" if report.passed else "○" if report.not_started else "◐"


def _advice(report):
    if report.not_started.startswith("waiting"):
        return "Write that function first, then run this cell again."
    if report.not_started:
        return "Write your solution in the cell above, run it, then run this cell again."
    return ""


# --- text -----------------------------------------------------------------------------------------


def report_text(report: Report) -> str:
    """The report for a terminal, complete."""
    lines = [f"{_icon(report)} {report.title}"]
    if advice := _advice(report):
        lines.append(f"  {advice}")
    lines += [f"  {error}" for error in report.course_errors]
    told = set()  # one hint serves several cases
    for outcome in report.outcomes:
        icon, word, _ = _LOOK[outcome.status]
        kind = f" ({outcome.kind})" if outcome.kind else ""
        lines.append(f"  {icon} {word}: {outcome.title}{kind}")
        if outcome.status in ("fail", "error"):
            for label, text, _ in _facts(outcome):
                lines.append(f"      {label + ':':<19} {text}")
            if grids := _picture(outcome):
                lines += _grids_text(grids)
            if outcome.hint not in told:
                lines.append(f"      {outcome.hint}")
            told.add(outcome.hint)
    return "\n".join(lines)


def _grids_text(grids):
    want, got = ([[_short(v) for v in row] for row in grid] for grid in grids)
    same = _same_size(grids)
    width = max(len(text) for grid in (want, got) for row in grid for text in row)
    lines = []
    for name, grid in (("Expected", want), ("Yours", got)):
        for i, row in enumerate(grid):
            cells = []
            for j, text in enumerate(row):
                off = name == "Yours" and same and _differs(grids, i, j)
                cells.append(f"[{text:>{width}}]" if off else f" {text:>{width}} ")
            lines.append(f"      {name + ':' if i == 0 else '':<19} {''.join(cells)}".rstrip())
    if same:
        lines.append(f"      {'':<19} (brackets mark the values that differ)")
    return lines


# --- html -----------------------------------------------------------------------------------------


def report_html(report: Report) -> str:
    """The report for a notebook, complete."""
    parts = [f"<b>{_icon(report)} {html_text(report.title)}</b>"]
    if advice := _advice(report):
        parts.append(f"<div>{html_text(advice)}</div>")
    parts += [f"<div><code>{html.escape(error)}</code></div>" for error in report.course_errors]
    parts += [_outcome_html(outcome) for outcome in report.outcomes]
    return f'<div style="line-height:1.45; max-width:900px">{"".join(parts)}</div>'


def _outcome_html(outcome):
    icon, word, colour = _LOOK[outcome.status]
    kind = f" ({html.escape(outcome.kind)})" if outcome.kind else ""
    head = f"<b>{icon} {word}</b>: {html_text(outcome.title)}{kind}"
    body = ""
    if outcome.status in ("fail", "error"):
        rows = [
            f'<div style="margin-left:1.4em"><span style="font-weight:600">{label}:</span> '
            + (f"{_code(text)}</div>" if code else f"{html_text(text)}</div>")
            for label, text, code in _facts(outcome)
        ]
        body = "".join(rows)
        if grids := _picture(outcome):
            body += _grids_html(grids)
        head_of_hint, _, text = outcome.hint.partition(": ")
        body += (
            f'<details style="margin-left:1.4em"><summary style="cursor:pointer">'
            f"{html.escape(head_of_hint)}</summary>{html_text(text)}</details>"
        )
    style = f"border-left:4px solid {colour}; padding:1px 0px 1px 10px; margin:5px 0px"
    return f'<div style="{style}">{head}{body}</div>'


def _code(text):
    style = "background-color:transparent; white-space:pre-wrap; color:inherit"
    return f'<code style="{style}">{html.escape(text)}</code>'


def _grids_html(grids):
    peak = max((abs(v) for grid in grids for row in grid for v in row if abs(v) < 1e300), default=0)
    drawn = "".join(
        f'<div style="display:inline-block; vertical-align:top; margin:4px 24px 4px 0px">'
        f"<div>{name}</div>{_grid_html(grids, which, peak)}</div>"
        for which, name in enumerate(("Expected", "Yours"))
    )
    note = "<div>≠ and a frame mark the values that differ</div>" if _same_size(grids) else ""
    return f'<div style="margin-left:1.4em">{drawn}{note}</div>'


def _grid_html(grids, which, peak):
    rows = []
    for i, row in enumerate(grids[which]):
        cells = []
        for j, value in enumerate(row):
            off = which == 1 and _same_size(grids) and _differs(grids, i, j)
            # A faint tint under the theme's own text colour, so that it reads on any ground.
            heat = 0.30 * abs(value) / peak if peak and abs(value) <= peak else 0.0
            border = "2px solid #D55E00" if off else "1px solid rgba(128,128,128,0.35)"
            mark = "≠ " if off else ""
            cells.append(
                f'<td style="border:{border}; padding:2px 6px; text-align:right; '
                f'background-color:rgba(43,136,200,{heat:.2f}); {_GRID_FONT}">'
                f"{mark}{html.escape(_short(value))}</td>"
            )
        rows.append(f'<tr style="background-color:transparent">{"".join(cells)}</tr>')
    style = "border-collapse:separate; border-spacing:2px; margin:2px 0px; width:auto"
    return f'<table style="{style}"><tbody>{"".join(rows)}</tbody></table>'


def _same_size(grids):
    want, got = grids
    return [len(row) for row in want] == [len(row) for row in got]


def _differs(grids, i, j):
    want, got = grids[0][i][j], grids[1][i][j]
    if want != want or got != got:
        return (want != want) != (got != got)
    if isinstance(want, float) and abs(want) < 1e300:
        return not abs(got - want) <= 1e-4 * max(abs(v) for row in grids[0] for v in row)
    return want != got


def _short(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
