# exercise: is_correct
def gold_number(gold):
    if isinstance(gold, Decimal):
        return gold
    if isinstance(gold, int):
        return Decimal(gold)
    if isinstance(gold, float):
        return Decimal(repr(gold))
    if "####" in gold:
        return extract_answer(gold, "strict")
    return extract_answer(gold, "flexible")


def is_correct(text, gold, mode="flexible"):
    answer = extract_answer(text, mode)
    wanted = gold_number(gold)
    if answer is None or wanted is None:
        return False
    return answer == wanted
