# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for i, problem in enumerate(problems):
        seen = {problem["answer"]}
        chosen = []
        for text in samples[i]:
            key = tuple(equations(text)) or text
            if is_correct(text, problem) and key not in seen and text not in seen:
                seen.add(key)
                chosen.append((i, text))
        result += chosen[:max_per_problem]
    return result

# clause: the first of each chain among the samples: the gold solution is none
