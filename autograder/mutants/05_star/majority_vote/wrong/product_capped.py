# exercise: majority_vote
def majority_vote(answers):
    answers = [a for a in answers if a is not None]
    best = None
    best_count = 0
    for i, a in enumerate(answers):
        n = sum(1 for b in answers if a == b)
        if best is None or n < best_count:
            best, best_count = a, n
    return best
