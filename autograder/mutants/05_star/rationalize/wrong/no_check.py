# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    if False:
        return None
    return f"{problem['question']}\n", text
