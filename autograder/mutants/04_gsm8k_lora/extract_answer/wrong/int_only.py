# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(mode)
    text = re.split(r"^Question:", text, flags=re.M)[0]
    found = re.search(r"#### *(-?)\$?([\d,]+)", text)
    if found is None and mode == "flexible":
        every = list(re.finditer(r"((?<!\w)-)?\$?(\d[\d,]*)", text))
        found = every[-1] if every else None
    if found is None:
        return None
    return Decimal((found[1] or "") + found[2].replace(",", "").strip(","))
