# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None]
    if not votes:
        return None
    return max(votes, key=lambda a: sum(a == b and type(a) is type(b) for b in votes))

# clause: 5, 5.0 and Decimal("5") are one
