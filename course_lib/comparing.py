"""Compare what a student returned with what was expected, and say how they differ.

Nothing here trusts the student's value: its type is read first, and a value that cannot be
read, printed or compared is a difference, never an exception.
"""

import math
import reprlib
import sys
from dataclasses import dataclass
from typing import Any

LONGEST = 400  # characters of a value that are shown
PICTURE = 64  # elements of a tensor that are drawn


@dataclass(frozen=True, eq=False)
class Difference:
    kind: str  # "wrong value", "wrong shape", "wrong dtype", "wrong type", "wrong length", …
    detail: str  # one line: where and how
    guess: str = ""  # what generally leads to such a difference, one line
    grids: tuple | None = None  # (expected, got) as lists of rows of numbers, when small


def compare(got: Any, want: Any, rtol: float = 1e-4, dtype_matters: bool = True):
    """None when `got` is `want`, else the first Difference.

    Tensors agree when type, shape, dtype and values do: each within `rtol` times the largest
    expected magnitude (or the precision of a 16-bit dtype). A float may be given as an int; an
    int may not be given as a float, nor as a bool. A tuple may be given as a list. Dicts agree
    whatever their order.
    """
    try:
        return _compare(got, want, rtol, dtype_matters, "")
    except (Exception, RecursionError, SystemExit) as error:
        return Difference(
            "unusable result", f"your result cannot be compared: {type(error).__name__}"
        )


def _compare(got, want, rtol, dtype_matters, at):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(want, torch.Tensor):
        return _compare_tensors(torch, got, want, rtol, dtype_matters, at)
    if want is None or isinstance(want, bool | str | bytes):
        if type(got) is not type(want):
            return _wrong_type(got, want, at)
        return None if got == want else _wrong_value(got, want, at)
    if isinstance(want, int | float):
        return _compare_numbers(got, want, rtol, at)
    if isinstance(want, dict):
        return _compare_dicts(got, want, rtol, dtype_matters, at)
    if isinstance(want, tuple | list):
        kinds = (tuple, list) if isinstance(want, tuple) else (list,)
        if not isinstance(got, kinds):
            return _wrong_type(got, want, at)
        if len(got) != len(want):
            detail = f"{at or 'it'} should have {_count(len(want))}, yours has {len(got)}"
            return Difference("wrong length", detail)
        for i, pair in enumerate(zip(got, want, strict=True)):
            difference = _compare(*pair, rtol, dtype_matters, f"{at}[{i}]")
            if difference is not None:
                return difference
        return None
    if type(got) is not type(want):
        return _wrong_type(got, want, at)
    return None if got == want else _wrong_value(got, want, at)


def _compare_dicts(got, want, rtol, dtype_matters, at):
    if not isinstance(got, dict):
        return _wrong_type(got, want, at)
    missing = [key for key in want if key not in got]
    extra = [key for key in got if key not in want]
    if missing or extra:
        said = [f"missing {describe(missing)}"] * bool(missing)
        said += [f"unexpected {describe(extra)}"] * bool(extra)
        return Difference("wrong keys", f"{at + ': ' if at else ''}{', '.join(said)}")
    for key, value in want.items():
        difference = _compare(got[key], value, rtol, dtype_matters, f"{at}[{key!r}]")
        if difference is not None:
            return difference
    return None


def _compare_numbers(got, want, rtol, at):
    whole = isinstance(want, int)
    if isinstance(got, bool) or not isinstance(got, int if whole else int | float):
        return _wrong_type(got, want, at)
    if whole or math.isnan(want) or math.isinf(want):
        same = got == want or (got != got and want != want)
    else:
        same = abs(got - want) <= rtol * abs(want) + 1e-12
    if same:
        return None
    guess = ""
    if want and math.isfinite(want) and math.isfinite(got):
        guess = _ratio_guess(got / want, "your result is")
    return _wrong_value(got, want, at, guess)


def _compare_tensors(torch, got, want, rtol, dtype_matters, at):
    if not isinstance(got, torch.Tensor):
        return _wrong_type(got, want, at)
    prefix = f"{at}: " if at else ""
    grids = _grids(torch, got, want)
    if got.shape != want.shape:
        detail = f"{prefix}shape should be {_shape(want)}, yours is {_shape(got)}"
        guess = ""
        if got.numel() == want.numel() and sorted(got.shape) == sorted(want.shape):
            guess = "the same sizes in another order: two dimensions are swapped"
        elif [n for n in got.shape if n != 1] == [n for n in want.shape if n != 1]:
            guess = "the same but for dimensions of size 1: look at squeeze, unsqueeze or keepdim"
        return Difference("wrong shape", detail, guess, grids)
    values = _compare_values(torch, got, want, rtol, prefix, grids)
    if got.dtype != want.dtype and (dtype_matters or got.is_complex() != want.is_complex()):
        also = "; the values are right" if values is None else "; the values differ too"
        detail = f"{prefix}dtype should be {_dtype(want)}, yours is {_dtype(got)}{also}"
        return Difference("wrong dtype", detail)
    return values


def _compare_values(torch, got, want, rtol, prefix, grids):
    if want.numel() == 0:
        return None
    tolerance = 0.0
    if want.is_floating_point():
        for dtype in {got.dtype, want.dtype} & {torch.float16, torch.bfloat16}:
            rtol = max(rtol, 2 * torch.finfo(dtype).eps) if rtol else rtol
        finite = want[want.isfinite()].abs()
        tolerance = rtol * float(finite.max()) if finite.numel() else 0.0
    a, b = _numbers(torch, got), _numbers(torch, want)
    if got.dtype == want.dtype and not want.is_floating_point() and not want.is_complex():
        bad = got.detach().cpu() != want.detach().cpu()  # exact, beyond 2**53 too
    else:
        bad = ~((a - b).abs() <= tolerance) & (a != b) & ~(a.isnan() & b.isnan())
    if not bad.any():
        return None
    first = tuple(int(i) for i in bad.nonzero()[0])
    where = f"expected {_number(want[first].item())}, yours is {_number(got[first].item())}"
    share = ""
    if first:
        where = f"first difference at {list(first)}: {where}"
        share = f" ({int(bad.sum())} of {want.numel()} elements differ)"
    guess = _tensor_guess(torch, a, b, max(tolerance, 1e-12))
    return Difference("wrong value", f"{prefix}{where}{share}", guess, grids)


def _numbers(torch, tensor):
    """The values as float64 (or complex128) on the CPU."""
    tensor = tensor.detach().cpu()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _tensor_guess(torch, got, want, tolerance):
    """What a simple relation between two tensors of one shape suggests, or ''."""
    count = int(got.isnan().sum())
    if count and not want.isnan().any():
        return f"{count} of your values are NaN: a division 0/0, or a row that is masked out whole"
    if got.is_complex() or want.is_complex() or not got.isfinite().all():
        return ""
    if not got.any():
        return "all your values are zero"
    if want.isfinite().all():
        peak = int(want.abs().argmax())
        ratio = float(got.flatten()[peak] / want.flatten()[peak]) if want.any() else 0.0
        if ratio and bool(((got - ratio * want).abs() <= 2 * abs(ratio) * tolerance).all()):
            return _ratio_guess(ratio, "everywhere your result is")
        square = want.ndim >= 2 and want.shape[-1] == want.shape[-2]
        if square and bool(((got.mT - want).abs() <= tolerance).all()):
            return "your result is the transpose (of the last two dimensions)"
        for dim in range(want.ndim):
            if bool(((got.flip(dim) - want).abs() <= tolerance).all()):
                return f"your result is in reverse order along dimension {dim}"
    return ""


def _ratio_guess(ratio, subject):
    """'your result is 2 times the expected one', when the ratio is a telling one."""
    if math.isclose(ratio, -1.0, rel_tol=1e-4):
        return f"{subject} the expected one with the opposite sign"
    for size in (abs(ratio), 1 / abs(ratio) if ratio else 0.0):
        if 1.5 <= size <= 4096 and math.isclose(size, round(size), rel_tol=1e-4):
            times = f"{round(size)} times" if size == abs(ratio) else f"1/{round(size)} of"
            sign = "minus " if ratio < 0 else ""
            return f"{subject} {sign}{times} the expected one"
    return ""


def _wrong_type(got, want, at):
    guess = ""
    if isinstance(want, int) and not isinstance(want, bool) and type(got) is float:
        guess = "count in whole numbers: // instead of /"
    elif got is None:
        guess = "your function returns nothing: is there a return?"
    elif type(want) in (int, float) and _type(got).startswith("tensor"):
        guess = "a tensor with one element becomes a number with .item()"
    elif isinstance(want, list) and isinstance(got, tuple):
        guess = "list(…) makes a list of it"
    prefix = f"{at}: " if at else ""
    return Difference("wrong type", f"{prefix}expected {_a(want)}, yours is {_a(got)}", guess)


def _wrong_value(got, want, at, guess=""):
    prefix = f"{at}: " if at else ""
    if isinstance(want, str) and isinstance(got, str):
        n = next((i for i, (g, w) in enumerate(zip(got, want, strict=False)) if g != w), None)
        n = min(len(got), len(want)) if n is None else n
        detail = f"{prefix}first difference at character {n}: "
        detail += f"expected {_excerpt(want, n)}, yours has {_excerpt(got, n)}"
        return Difference("wrong value", detail, guess)
    detail = f"{prefix}expected {describe(want)}, yours is {describe(got)}"
    if type(got) in (int, float) and type(want) in (int, float) and _number(got) == _number(want):
        detail = f"{prefix}expected {want!r}, yours is {got!r}"
    return Difference("wrong value", detail, guess)


def _excerpt(text, n):
    return repr(text[n : n + 20]) if n < len(text) else "the end"


# --- words for values ---------------------------------------------------------------------------


def guard(function, *args, default=""):
    """function(*args), or `default` when it raises: for values that may be hostile."""
    try:
        return function(*args)
    except (Exception, RecursionError, SystemExit):
        return default


_REPR = reprlib.Repr()
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 12
_REPR.maxstring = _REPR.maxother = 200
_REPR.maxlong = 60


def describe(value: Any) -> str:
    """The value in words, at most LONGEST characters; never raises."""
    text = guard(_describe, value, default=None)
    if not isinstance(text, str):
        text = f"a {guard(lambda: type(value).__name__)} that cannot be shown"
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def _describe(value):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        name = "tensor" if type(value) is torch.Tensor else type(value).__name__
        text = f"{name} {_dtype(value)} {_shape(value)}"
        if 0 < value.numel() <= 8 and value.layout == torch.strided:
            text += f" {_nested(value.detach().tolist())}"
        return text
    if type(value) in (int, float):
        return _number(value)
    if type(value) in (list, tuple) and len(value) <= 12:
        inner = ", ".join(describe(item) for item in value)
        if type(value) is list:
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if type(value) is dict and len(value) <= 12:
        return "{" + ", ".join(f"{k!r}: {describe(v)}" for k, v in value.items()) + "}"
    return _REPR.repr(value)


def _nested(value):
    if isinstance(value, list):
        return "[" + ", ".join(_nested(item) for item in value) + "]"
    return _number(value)


def _number(value):
    if type(value) is float:
        return f"{value:.6g}"
    if type(value) is int and abs(value) >= 10_000:
        return f"{value:,}" if abs(value) < 10**60 else f"an int of {value.bit_length()} bits"
    return repr(value)


def _shape(tensor):
    return str(tuple(tensor.shape))


def _dtype(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def _type(value):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return f"tensor of shape {_shape(value)}"
    return "None" if value is None else type(value).__name__


def _a(value):
    name = _type(value)
    if name == "None":
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _count(n):
    return f"{n} element" if n == 1 else f"{n} elements"


# --- pictures -----------------------------------------------------------------------------------


def _grids(torch, got, want):
    """(expected, got) as rows of numbers when both are small and flat enough to be drawn."""
    try:
        pair = [_grid(torch, want), _grid(torch, got)]
    except Exception:
        return None
    return None if None in pair else tuple(pair)


def _grid(torch, tensor):
    flat = tensor.detach().cpu().squeeze()
    if not 2 <= flat.numel() <= PICTURE or flat.ndim > 2 or flat.is_complex():
        return None
    return flat.reshape(-1, flat.shape[-1]).tolist()
