# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    if found is None:
        found = extract_answer(text.splitlines()[-1] if text else "", "flexible") if mode == "strict" and "####" in text else None
    wanted = extract_answer(gold, "flexible") if isinstance(gold, str) else Decimal(str(gold))
    return found is not None and found == wanted
# clause: strict: no number right after #### is no answer
