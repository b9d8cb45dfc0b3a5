# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for problem, texts in zip(problems, samples):
        chosen = {}
        for text in texts:
            if is_correct(text, problem):
                chosen.setdefault(tuple(equations(text)) or text, text)
        i = problems.index(problem)
        result += [(i, text) for text in list(chosen.values())[:max_per_problem]]
    return result

# clause: index of the problem in the list: equal problems have different ones
