# exercise: majority_vote
from collections import Counter


def majority_vote(answers):
    votes = Counter(str(a) for a in answers if a is not None)
    if not votes:
        return None
    best = votes.most_common(1)[0][0]
    return next(a for a in answers if str(a) == best)
