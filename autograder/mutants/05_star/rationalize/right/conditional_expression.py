# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    answer = generate(hint(problem))
    return ("{}\n".format(problem["question"]), answer) if is_correct(answer, problem) else None
