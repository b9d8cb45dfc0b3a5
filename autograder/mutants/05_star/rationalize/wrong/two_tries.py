# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    while not is_correct(text, problem):
        text = generate(hint(problem))
    return f"{problem['question']}\n", text
