# exercise: extract_answer
def extract_answer(text, mode):
    if mode == "strict":
        head = re.split(r"(?m)^Question:", text)[0]
        found = re.match(r"[\s\S]*?#### *([-+]?)\$?([-+]?)(\d[\d,]*(?:\.\d+)?)", head)
        if found is None or "####" in found[0][: found[0].index("####")]:
            return None
        if found[0].count("####") > 1:
            return None
        return Decimal(found[1] + found[2] + found[3].replace(",", ""))
    if mode == "flexible":
        strict = extract_answer(text, "strict")
        if strict is not None:
            return strict
        head = re.split(r"(?m)^Question:", text)[0]
        head = re.sub(r"(?<=\w)-", " ", head.replace("$", ""))
        numbers = re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?", head)
        return Decimal(numbers[-1].replace(",", "")) if numbers else None
    raise ValueError(mode)
