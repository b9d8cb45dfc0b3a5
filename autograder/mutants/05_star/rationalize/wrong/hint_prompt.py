# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    prompt = hint(problem)
    text = generate(prompt)
    if not is_correct(text, problem):
        return None
    return prompt, text
