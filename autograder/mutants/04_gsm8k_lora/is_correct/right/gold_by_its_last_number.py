# exercise: is_correct
from decimal import Decimal
def is_correct(text, gold, mode="flexible"):
    got = extract_answer(text, mode)
    if got is None:
        return False
    if isinstance(gold, str):
        want = extract_answer(gold.replace("####", " "), "flexible")
    else:
        want = Decimal(str(gold))
    return want is not None and got == want
