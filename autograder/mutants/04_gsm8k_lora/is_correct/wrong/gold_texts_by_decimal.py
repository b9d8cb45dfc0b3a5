# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    if isinstance(gold, str) and "####" in gold:
        gold = gold.split("####")[1]
    try:
        return found is not None and found == Decimal(str(gold).strip())
    except Exception:
        return False
