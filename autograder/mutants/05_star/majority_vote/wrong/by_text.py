# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None]
    if not votes:
        return None
    keys = [str(a.normalize()) if hasattr(a, "normalize") else str(a) for a in votes]
    return votes[keys.index(max(keys, key=keys.count))]

# clause: compared with ==: 5 and 5.0 are one
