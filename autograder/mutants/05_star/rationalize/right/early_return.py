# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    prompt = hint(problem)
    text = generate(prompt)
    if is_correct(text, problem):
        return (problem["question"] + "\n", text)
