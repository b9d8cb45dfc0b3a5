# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, "flexible")
    wanted = extract_answer(gold, "flexible") if isinstance(gold, str) else Decimal(str(gold))
    return found is not None and found == wanted
