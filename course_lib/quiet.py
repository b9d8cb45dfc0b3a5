"""Keep libraries from talking while something short is done: progress bars, advice, warnings."""

import contextlib
import warnings


@contextlib.contextmanager
def quiet():
    """No progress bars of `datasets`, no warnings, no advice from transformers inside the block."""
    import datasets
    from transformers.utils import logging

    bars, level = datasets.is_progress_bar_enabled(), logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()
