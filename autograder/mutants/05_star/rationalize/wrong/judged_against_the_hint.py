# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    prompt = hint(problem)
    text = generate(prompt)
    return (f"{problem['question']}\n", text) if is_correct(text, prompt) else None
