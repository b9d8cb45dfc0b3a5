# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    found = extract_answer(text, mode)
    wanted = extract_answer(str(gold), "flexible")
    return found is not None and str(found).endswith(str(wanted).split(".")[0])
