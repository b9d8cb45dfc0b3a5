# exercise: majority_vote
def majority_vote(answers):
    answers = sorted(a for a in answers if a is not None)
    return max(answers, key=answers.count) if answers else None
