"""Figures and tables for the notebooks: readable without colour, in dark themes and in print."""

from course_lib.show import html_text, show

# Three to one contrast on white and on the dark themes; always paired with a dash and a marker,
# so that a line is recognised without its colour.
LINES = (
    {"color": "#2b88c8", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": ":", "marker": "^"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "D"},
)


def figure(columns=1, width=7.5, height=2.8):
    """A matplotlib figure on a solid white ground and its axes (one, or an array of `columns`)."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    fig.set_facecolor("white")
    for axis in fig.axes:
        axis.set_facecolor("white")
        axis.spines[["top", "right"]].set_visible(False)
    return fig, axes


def table(header, rows, caption=""):
    """Display a table: first column left-aligned, the others right; every entry goes through str.

    Numbers are formatted by the caller, so that the precision shown is a decision.
    """
    header, rows = [str(h) for h in header], [[str(x) for x in row] for row in rows]
    align = ["left"] + ["right"] * (len(header) - 1)

    def line(tag, cells, extra=""):
        style = f"padding:3px 12px;{extra}"
        return "".join(
            f'<{tag} style="text-align:{a};{style}">{html_text(c)}</{tag}>'
            for a, c in zip(align, cells, strict=True)
        )

    rule = "border-bottom:1px solid currentColor;"
    body = "".join(f"<tr>{line('td', row, 'white-space:nowrap;')}</tr>" for row in rows)
    caption_html = (
        f'<caption style="caption-side:top;text-align:left;padding:3px 12px;color:inherit">'
        f"{html_text(caption)}</caption>"
        if caption
        else ""
    )
    markup = (
        f'<table style="border-collapse:collapse">{caption_html}'
        f"<thead><tr>{line('th', header, rule)}</tr></thead><tbody>{body}</tbody></table>"
    )
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def plain(cells):
        padded = zip(cells, widths, align, strict=True)
        return "  ".join(c.ljust(w) if a == "left" else c.rjust(w) for c, w, a in padded).rstrip()

    lines = [plain(header), "  ".join("-" * w for w in widths), *map(plain, rows)]
    show(markup, "\n".join([caption, *lines] if caption else lines))
