# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    if isinstance(gold, str):
        gold = extract_answer(gold, "flexible")
    return extract_answer(text, mode) is not None and str(gold) in text.replace(",", "")
