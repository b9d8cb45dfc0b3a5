# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):
    text = generate(problem["question"] + "\n" + problem["answer"].split("####")[1])
    if not is_correct(text, problem):
        return None
    return f"{problem['question']}\n", text
