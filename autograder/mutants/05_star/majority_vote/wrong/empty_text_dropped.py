# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None and a != ""]
    if not votes:
        return None
    return max(votes, key=votes.count)

# clause: only None has no vote
