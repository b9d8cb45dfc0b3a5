# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(f"{problem['question']}\n")
    if not is_correct(text, problem):
        return None
    return f"{problem['question']}\n", text
