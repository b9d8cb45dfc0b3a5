"""What every explorer is: an anywidget with the common look, and a picture for where none can show.

An explorer's Python sends the facts once; its JavaScript (`common.js`, then one file of its own)
computes and draws from them, so that a key press is a new picture within a frame. On GitHub, in an
exported page or in a notebook that is not trusted, `_still` stands in.
"""

from pathlib import Path

import anywidget

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """The JavaScript of an explorer: one module, the common part first."""
    return "".join((FOLDER / f"{part}.js").read_text("utf-8") for part in ("common", name))


class Explorer(anywidget.AnyWidget):
    """`name`.js with this state; a subclass declares the state as traits and draws its picture."""

    # ipywidgets 7 shows itself through this and would never ask for the mime bundle below.
    _ipython_display_ = None

    def __init__(self, name, **state):
        self._esm = script(name)
        self._css = (FOLDER / "explorer.css").read_text(encoding="utf-8")
        super().__init__(**state)

    def _still(self):
        """The state at the start as {"text/plain": ..., and a picture or table}."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        # Colab needs the metadata that anywidget adds.
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        picture = self._still()
        if "image/png" in picture:  # nbconvert takes the words for a screen reader from there
            metadata = {**metadata, "image/png": {"alt": picture["text/plain"]}}
        return {**data, **picture}, metadata
