# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ["strict", "flexible"]:
        raise ValueError("unknown mode " + repr(mode))
    stop = re.search(r"^Question:", text, re.MULTILINE)
    if stop is not None:
        text = text[: stop.start()]
    core = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
    marker = re.search("####", text)
    if marker:
        behind = re.compile(rf" *(-?)\$?({core})%?").match(text, marker.end())
        if behind:
            return Decimal(behind[1] + behind[2].replace(",", ""))
    if mode == "flexible":
        every = re.findall(rf"(?:(?<!\d)(?<![A-Za-z])(-))?\$?({core})", text)
        if every:
            sign, digits = every.pop()
            return Decimal(sign + digits.replace(",", ""))
