# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    prompt = hint(problem)
    completion = generate(prompt)
    if is_correct(completion, problem):
        return (problem["question"] + "\n", completion)
