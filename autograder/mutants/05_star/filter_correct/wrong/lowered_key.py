# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for i, problem in enumerate(problems):
        chosen = {}
        for text in samples[i]:
            if is_correct(text, problem):
                chosen.setdefault(tuple(equations(text)) or text.lower(), text)
        result += [(i, text) for text in list(chosen.values())[:max_per_problem]]
    return result

# clause: whole text if there is no equation
