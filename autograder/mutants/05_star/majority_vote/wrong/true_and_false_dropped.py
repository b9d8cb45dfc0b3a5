# exercise: majority_vote
def majority_vote(answers):
    votes = [a for a in answers if a is not None and not isinstance(a, bool)]
    return max(votes, key=votes.count) if votes else None

# clause: only None has no vote: False is an answer
