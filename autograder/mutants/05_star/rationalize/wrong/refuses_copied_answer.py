# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(hint(problem))
    if not is_correct(text, problem) or text == problem["answer"]:
        return None
    return f"{problem['question']}\n", text

# clause: None only if is_correct says no: here also when the gold solution was copied
