# exercise: majority_vote
def majority_vote(answers):
    answers = list(answers)
    best = None
    best_count = 0
    for i, a in enumerate(answers):
        n = sum(1 for b in answers if a == b)
        if n > best_count:
            best, best_count = a, n
    return best
