# exercise: majority_vote
def majority_vote(answers):
    best, best_votes = None, 0
    for candidate in answers:
        if candidate is None:
            continue
        votes = 0
        for other in answers:
            if other is not None and other == candidate:
                votes += 1
        if votes > best_votes:
            best, best_votes = candidate, votes
    return best
