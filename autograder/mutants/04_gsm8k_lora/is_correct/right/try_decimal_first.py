# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    try:
        wanted = Decimal(str(gold).replace(",", ""))
    except ArithmeticError:
        wanted = extract_answer(gold, "flexible")
    answer = extract_answer(text, mode)
    return False if answer is None else bool(answer == wanted)
