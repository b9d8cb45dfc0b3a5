# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    if not is_correct(text, problem):
        return None
    return f"{problem['question']}\n", text.strip()
