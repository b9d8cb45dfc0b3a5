# exercise: extract_answer
def extract_answer(text, mode):
    if mode not in ("strict", "flexible"):
        raise ValueError(f"mode must be 'strict' or 'flexible', not {mode!r}")
    text = re.split(r"^Question:", text, maxsplit=1, flags=re.MULTILINE)[0]
    # A sign counts where no digit or letter stands before it, or right behind the $.
    sign, digits = "([-−+])", r"((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    number = rf"(?:(?<!\w){sign})?(?:\${sign}?)?{digits}"
    found = None
    if "####" in text:
        found = re.match(rf" *{number}", text.partition("####")[2])
    if found is None and mode == "flexible":
        found = re.search(number, text)
    if found is None:
        return None
    value = Decimal(found[3].replace(",", ""))
    return -value if {found[1], found[2]} & {"-", "−"} else value
