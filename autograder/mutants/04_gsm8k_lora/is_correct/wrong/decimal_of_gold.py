# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    if isinstance(gold, str):
        gold = gold.split("####")[-1].strip().replace(",", "").replace("$", "")
        try:
            gold = Decimal(gold)
        except Exception:
            return False
    return found is not None and found == Decimal(str(gold))
# clause: gold text as extract_answer reads it ("18 dollars", "25%", "18.")
