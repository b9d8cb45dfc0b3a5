# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    answer = extract_answer(text, mode)
    wanted = extract_answer(gold, "flexible") if type(gold) is str else Decimal(f"{gold}")
    return not (answer is None or wanted is None) and answer - wanted == 0
