# exercise: filter_correct
from itertools import islice


def filter_correct(problems, samples, is_correct, max_per_problem):
    def new_ones(problem, texts):
        seen = set()
        for text in texts:
            if not is_correct(text, problem):
                continue
            key = tuple(equations(text)) or text
            if key not in seen:
                seen.add(key)
                yield text

    return [
        (i, text)
        for i, (problem, texts) in enumerate(zip(problems, samples))
        for text in islice(new_ones(problem, texts), max_per_problem)
    ]
