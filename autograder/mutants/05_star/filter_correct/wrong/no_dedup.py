# exercise: filter_correct
import re
def filter_correct(problems, samples, is_correct, max_per_problem):
    kept = []
    for i, (problem, texts) in enumerate(zip(problems, samples)):
        seen, count = set(), 0
        for text in texts:
            if not is_correct(text, problem):
                continue
            chain = tuple(re.findall(r"<<(.*?)>>", text)) or text
            seen.add(chain)
            if count < max_per_problem:
                kept.append((i, text))
                count += 1
    return kept
