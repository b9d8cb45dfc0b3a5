# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    if text and is_correct(text, problem):
        return f"{problem['question']}\n", text
    return None

# clause: None only if the text is not correct
