# exercise: filter_correct
import re


def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for i, problem in enumerate(problems):
        chosen = {}
        for text in samples[i]:
            if is_correct(text, problem):
                chain = re.findall(r"<<(\d+[-+*/]\d+=\d+)>>", text)
                chosen.setdefault(tuple(chain) or text, text)
        result += [(i, text) for text in list(chosen.values())[:max_per_problem]]
    return result

# clause: every <<...>> counts: decimals and three terms too
