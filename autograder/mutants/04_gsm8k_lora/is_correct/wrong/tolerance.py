# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    wanted = extract_answer(gold, "flexible") if isinstance(gold, str) else Decimal(str(gold))
    return found is not None and wanted is not None and abs(found - wanted) < Decimal("0.01")
# clause: numeric equality, no tolerance
