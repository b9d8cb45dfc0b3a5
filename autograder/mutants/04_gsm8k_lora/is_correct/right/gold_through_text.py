# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    answer = extract_answer(text, mode)
    if answer is None:
        return False
    return answer == extract_answer(str(gold), "flexible")
