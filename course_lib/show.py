"""Show one message as HTML where there is a notebook, and as complete plain text elsewhere."""

import html
import re


def show(html_form: str, text_form: str) -> None:
    """Display both forms as one output; without IPython, print the text."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(text_form)
        return
    if get_ipython() is None:
        print(text_form)
    else:
        display({"text/html": html_form, "text/plain": text_form}, raw=True)


def html_text(text: str) -> str:
    """Escaped text in which `backticks` become code and line ends stay."""
    escaped = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))
    return escaped.replace("\n", "<br>")
