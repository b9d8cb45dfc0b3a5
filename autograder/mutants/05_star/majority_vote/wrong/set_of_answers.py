# exercise: majority_vote
def majority_vote(answers):
    answers = [a for a in answers if a is not None]
    best = None
    best_count = 0
    for i, a in enumerate(set(answers)):
        n = sum(1 for b in answers if a == b)
        if n > best_count:
            best, best_count = a, n
    return best
