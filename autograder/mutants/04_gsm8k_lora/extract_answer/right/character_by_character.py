# exercise: extract_answer
def read_number(text, start):
    """The number that begins at text[start], and where it ends; None if none does."""
    i, sign = start, 1
    if text[i : i + 1] == "-":
        sign, i = -1, i + 1
    if text[i : i + 1] == "$":
        i += 1
    if i >= len(text) or not text[i].isdigit():
        return None, start + 1
    digits = ""
    while i < len(text):
        if text[i].isdigit():
            digits += text[i]
        elif text[i] == "," and text[i + 1 : i + 4].isdigit() and len(text[i + 1 : i + 4]) == 3:
            pass
        else:
            break
        i += 1
    if text[i : i + 1] == "." and text[i + 1 : i + 2].isdigit():
        digits += "."
        i += 1
        while i < len(text) and text[i].isdigit():
            digits += text[i]
            i += 1
    return sign * Decimal(digits) if len(digits) < 20 else Decimal(("-" if sign < 0 else "") + digits), i


def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("Question:"):
            lines = lines[:number]
            break
    text = "\n".join(lines)
    if "####" in text:
        rest = text[text.index("####") + 4 :].lstrip(" ")
        found, _ = read_number(rest, 0)
        if found is not None:
            return found
    if mode == "strict":
        return None
    last, i = None, 0
    while i < len(text):
        if text[i] == "-" and i and text[i - 1].isalnum():
            i += 1
            continue
        found, i = read_number(text, i)
        last = found if found is not None else last
    return last
