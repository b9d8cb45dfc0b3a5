# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = re.split(r"^Question:", text, flags=re.M)[0]
    if "####" in text:
        rest = text.split("####")[1].split("\n")[0].replace(",", "").replace("$", "").rstrip(".%")
        try:
            return Decimal(str(eval(rest)))
        except Exception:
            if mode == "strict":
                return None
    elif mode == "strict":
        return None
    numbers = re.findall(r"(?<!\w)-?\$?[\d,]+(?:\.\d+)?", text)
    return Decimal(numbers[-1].replace(",", "").replace("$", "")) if numbers else None
