# exercise: extract_answer
PATTERN = re.compile(
    r"""(?P<sign>(?<![0-9A-Za-z_])-)?   # a minus that does not follow a digit or letter
        \$?
        (?P<digits>\d+(?:,\d\d\d)*(?:\.\d+)?)""",
    re.VERBOSE,
)


def value(match):
    number = Decimal(match["digits"].replace(",", ""))
    return number.copy_negate() if match["sign"] else number


def cut(text):
    if text.startswith("Question:"):
        return ""
    return text.split("\nQuestion:", 1)[0]


def extract_answer(text, mode):
    if mode not in {"strict", "flexible"}:
        raise ValueError(f"no such mode: {mode}")
    text = cut(text)
    strict = re.search(r"####(.*)", text, re.S)
    match = PATTERN.match(strict[1].strip(" ")) if strict else None
    if match is None and mode == "flexible":
        for match in PATTERN.finditer(text):
            pass
    return None if match is None else value(match)
