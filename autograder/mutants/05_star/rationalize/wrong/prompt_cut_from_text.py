# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    prompt = hint(problem)
    text = generate(prompt)
    if is_correct(text, problem):
        return f"{problem['question']}\n", text.removeprefix(prompt)
    return None

# clause: the text exactly as generated, also if it begins with the prompt
