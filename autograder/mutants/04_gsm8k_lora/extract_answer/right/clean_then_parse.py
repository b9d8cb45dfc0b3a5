# exercise: extract_answer
NUMBER = r"-?\$?-?\d+(?:,\d{3})*(?:\.\d+)?"


def to_decimal(text):
    return Decimal(text.replace("$", "").replace(",", "").replace("--", "-"))


def extract_answer(text, mode):
    if mode != "strict" and mode != "flexible":
        raise ValueError("mode must be strict or flexible")
    kept = []
    for line in text.split("\n"):
        if line.startswith("Question:"):
            break
        kept.append(line)
    text = "\n".join(kept)
    place = text.find("####")
    if place >= 0:
        found = re.match(NUMBER, text[place + 4 :].lstrip(" "))
        if found:
            return to_decimal(found.group(0))
    if mode == "strict":
        return None
    numbers = re.findall(r"(?<![\w])" + NUMBER + r"|\d+(?:,\d{3})*(?:\.\d+)?", text)
    return to_decimal(numbers[-1]) if numbers else None
