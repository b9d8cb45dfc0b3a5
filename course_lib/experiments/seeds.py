"""What several seeds say together: a mean, and how far it may be from the truth."""

import statistics


def mean_and_half(values: list[float]) -> tuple[float, float]:
    """Mean and half width of its 95% interval (Student's t; values are independent seeds)."""
    n = len(values)
    half = student_t(n - 1) * statistics.stdev(values) / n**0.5 if n > 1 else float("nan")
    return statistics.mean(values), half


def student_t(freedom: int) -> float:
    """The 97.5% quantile of Student's t for 1 to 9 degrees of freedom (any table of it)."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
    return table[freedom - 1]


def spread(values, digits: int = 2, low: float = 0.0, high: float = float("inf")) -> str:
    """Mean over seeds and its 95% t-interval, "0.61 (0.54 … 0.68)"; a value stays alone if it
    is the only one, or if all are the same and no interval can be had from them.

    The interval is cut at `low` and `high`, beyond which the figure cannot be."""
    values = list(values)
    mean, half = mean_and_half(values)
    if len(set(values)) == 1:
        return f"{mean:.{digits}f}"
    begin, end = max(low, mean - half), min(high, mean + half)
    return f"{mean:.{digits}f} ({begin:.{digits}f} … {end:.{digits}f})"
