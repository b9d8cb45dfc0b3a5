# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(f"mode: {mode}")
    text = re.split(r"(?m)^Question:", text)[0]
    pattern = r"((?<!\d)-)?\$?((?<=\$)-)?(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(\.\d+)?"

    def to_decimal(m):
        digits = m.group(3).replace(",", "") + (m.group(4) or "")
        return Decimal(("-" if m.group(1) or m.group(2) else "") + digits)

    _, _, after = text.partition("####")
    found = re.match(r" *" + pattern, after)
    if found:
        return to_decimal(found)
    if mode == "strict":
        return None
    every = [to_decimal(m) for m in re.finditer(pattern, text)]
    return every[-1] if every else None
# clause: "A - right behind a digit or a letter is no sign" - shows on "flight A-12" or "grade-5" in the flexible mode (gives -12, must be 12)
