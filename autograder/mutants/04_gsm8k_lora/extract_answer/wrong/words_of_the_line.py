# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = text.split("\nQuestion:")[0]
    if "####" in text:
        word = text.split("####")[1].split()[0]
    elif mode == "flexible":
        words = [w for w in text.split() if any(c.isdigit() for c in w)]
        if not words:
            return None
        word = words[-1]
    else:
        return None
    return Decimal(word.replace(",", "").replace("$", "").replace("%", "").rstrip("."))
