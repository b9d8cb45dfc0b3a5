# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None]
    if not votes:
        return None

    def same(a, b):
        try:
            return math.isclose(a, b, rel_tol=1e-6)
        except TypeError:
            return a == b

    return max(votes, key=lambda a: sum(same(a, b) for b in votes))

# clause: compared with ==, not nearly
