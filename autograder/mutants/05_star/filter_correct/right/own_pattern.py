# exercise: filter_correct
import re


def filter_correct(problems, samples, is_correct, max_per_problem):
    out = []
    for index in range(len(problems)):
        chains, chosen = [], []
        for text in samples[index]:
            key = re.findall(r"<<(.*?)>>", text) or [text]
            if is_correct(text, problems[index]) and key not in chains:
                chains.append(key)
                chosen.append((index, text))
        out.extend(chosen[:max_per_problem])
    return out
