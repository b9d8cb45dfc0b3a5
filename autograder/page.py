"""The HTML pages' common frame: self-contained, no script, light and dark, fit for print."""

import re
from html import escape

# Text colours have a contrast of at least 4.5:1 on their ground, in both themes. A state is always
# told in words too, never by its colour alone.
STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --soft: #57606a;
  --line: #d0d7de; --panel: #f6f8fa; --good: #116329; --bad: #a40e26; --wait: #7d4e00;
  --bar: #2b88c8; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1318; --text: #e6edf3; --soft: #9aa5b1;
  --line: #353c45; --panel: #181d24; --good: #56d364; --bad: #ff8e87; --wait: #e3b341;
  --bar: #2b88c8; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--ground);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
a { color: var(--link); }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
section { border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem 1rem; margin: 1rem 0; }
section h2 { margin: 0; display: flex; flex-wrap: wrap;
  justify-content: space-between; gap: .5rem; }
.points { font-variant-numeric: tabular-nums; white-space: nowrap; }
ul { margin: .4rem 0; padding-left: 1.4rem; }
ul.checks { list-style: none; padding-left: 0; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .375rem;
  margin: .4rem 0; padding: .6rem .75rem; overflow-x: auto; font: 13px/1.45 ui-monospace, monospace;
  white-space: pre-wrap; }
code { font: .92em ui-monospace, monospace; }
table code { overflow-wrap: normal; white-space: nowrap; }
img { max-width: 100%; background: #fff; }
summary { cursor: pointer; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; } td.n, th.n { text-align: right; }
svg { max-width: 100%; height: auto; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .bar { fill: var(--bar); } svg .track { fill: var(--panel); stroke: var(--line); }
svg .axis { stroke: var(--soft); }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } a { color: inherit; }
  section, tr, svg, figure { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .bar, .track, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
# Should anything of a student's ever get past the escaping: no script, no address is followed.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)")
_CONTROL = re.compile("[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\uffff\U00010000-\U0010ffff]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


def page(title, body):
    """A whole page. `title` is text, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def text(value, most=8000):
    """Escaped text without colour codes, control characters and reordering marks."""
    shown = _BIDI.sub("", _CONTROL.sub("�", _ANSI.sub("", str(value).replace("\r\n", "\n"))))
    if len(shown) > most:
        shown = shown[:most] + f"\n… ({len(shown) - most} more characters)"
    return escape(shown)


def number(value):
    """A score for people: no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
