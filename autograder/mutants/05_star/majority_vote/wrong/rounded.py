# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None]
    if not votes:
        return None
    keys = [round(a) if isinstance(a, float) else a for a in votes]
    return votes[keys.index(max(keys, key=keys.count))]

# clause: compared with ==: 2.4 and 2.1 are different
