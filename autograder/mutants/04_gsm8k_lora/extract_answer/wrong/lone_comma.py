# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = re.split(r"^Question:", text, flags=re.M)[0]
    number = r"(?:(?<!\w)([-+]))?(?:\$([-+]?))?([\d,]+(?:\.\d+)?)"
    _, _, rest = text.partition("####")
    m = re.match(" *" + number, rest)
    if not m and mode == "flexible":
        m = ([None] + list(re.finditer(number, text)))[-1]
    if not m:
        return None
    v = Decimal(m[3].replace(",", ""))
    return -v if "-" in (m[1], m[2]) else v
# clause: a comma alone is no number (crashes)
