# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None]
    if not votes:
        return None
    keys = [a.strip().lower() if isinstance(a, str) else a for a in votes]
    return votes[keys.index(max(keys, key=keys.count))]

# clause: compared with ==: "A" and "a" are different
