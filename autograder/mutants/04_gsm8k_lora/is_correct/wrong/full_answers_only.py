# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    return found is not None and found == extract_answer(gold.split("####")[1], "flexible")
