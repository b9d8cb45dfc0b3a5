# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    if is_correct(text, problem) and check_chain(text):
        return f"{problem['question']}\n", text
    return None

# clause: text if is_correct says so
