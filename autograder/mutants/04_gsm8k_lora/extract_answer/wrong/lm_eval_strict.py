# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = re.split(r"^Question:", text, flags=re.M)[0]
    found = re.search(r"#### (\-?[0-9\.\,]+)", text)
    if found:
        return Decimal(found[1].replace(",", "").rstrip("."))
    if mode == "strict":
        return None
    numbers = re.findall(r"-?[\d,]*\.?\d+", text)
    return Decimal(numbers[-1].replace(",", "")) if numbers else None
