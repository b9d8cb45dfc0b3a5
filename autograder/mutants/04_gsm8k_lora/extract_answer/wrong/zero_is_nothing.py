# exercise: extract_answer
NUMBER = r"((?<!\w)-)?(?:\$(-)?)?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?"


def as_decimal(match):
    value = Decimal(match[3].replace(",", "") + (match[4] or ""))
    return -value if match[1] or match[2] else value


def strict_answer(text):
    match = re.match(" *" + NUMBER, text.partition("####")[2])
    return as_decimal(match) if match else None


def last_number(text):
    matches = list(re.finditer(NUMBER, text))
    return as_decimal(matches[-1]) if matches else None


def extract_answer(text, mode):
    text = re.split(r"^Question:", text, flags=re.MULTILINE)[0]
    if mode == "strict":
        return strict_answer(text)
    if mode == "flexible":
        return strict_answer(text) or last_number(text)
    raise ValueError(mode)
# clause: "the strict answer if there is one, else the last number in the text" - the strict answer is 0: "#### 0 of the 5 pens" is 0 in flexible mode, not 5
