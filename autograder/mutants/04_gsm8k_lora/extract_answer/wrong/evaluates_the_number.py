# exercise: extract_answer
import re
from decimal import Decimal, InvalidOperation
NUMBER = r"[-+]?\$?[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
def _number(text):
    return Decimal(str(eval(text.replace(",", "").replace("$", ""))))
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(f"unknown mode {mode!r}")
    text = re.split(r"^[ \t]*Question:", text, maxsplit=1, flags=re.M)[0]
    m = re.search(r"####", text)
    if m:
        n = re.match(r"[ \t]*(" + NUMBER + ")", text[m.end():])
        if n:
            return _number(n.group(1))
    if mode == "strict":
        return None
    found = re.findall(r"(?<![\w.)\d])" + NUMBER + r"|(?<=\d)-(?=\d)|" + r"\$?(?:\d[\d,]*(?:\.\d+)?)", text)
    found = [f for f in found if any(ch.isdigit() for ch in f)]
    return _number(found[-1]) if found else None
