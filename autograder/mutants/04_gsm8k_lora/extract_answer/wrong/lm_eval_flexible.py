# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = re.split(r"^Question:", text, flags=re.M)[0]
    found = re.search(r"#### *(-?\$?[\d,]+(?:\.\d+)?)", text)
    if not found and mode == "flexible":
        groups = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)
        numbers = [a or b for a, b in groups]
        if not numbers:
            return None
        return Decimal(numbers[-1].replace(",", "").replace("$", "").rstrip("."))
    return Decimal(found[1].replace(",", "").replace("$", "")) if found else None
