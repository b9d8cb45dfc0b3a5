"""The explorer of notebook 05: the recorded runs of expert iteration, arm by arm, seed by seed."""

import traitlets

from course_lib.experiments.star import recorded
from course_lib.widgets import still
from course_lib.widgets.explorer import Explorer

# name of the arm in the recorded file -> what it is called
ARMS = {
    "star": "STaR, from the base each round",
    "continue": "from the current model",
    "rationalize": "STaR with rationalization",
    "no_demonstrations": "STaR, no demonstrations",
    "control": "control: demonstrations only",
}
SAMPLED = "of 800 problems, two samples each"
# key -> [title, how a value comes from the recorded facts, is it a share?]
MEASURES = {
    **{
        f"pass@{k}": [f"pass@{k}, held-out problems", lambda f, k=k: f[f"pass@{k}"], True]
        for k in (1, 2, 4, 8)
    },
    "wrong steps": [
        "right answers by a wrong step, held-out problems",
        lambda f: f["false_positives"] / max(1, f["right_samples"]),
        True,
    ],
    "kept": ["texts kept for training", lambda f: f["kept"], False],
    "solved": [f"solved, {SAMPLED}", lambda f: f["solved"], False],
    "new": [f"solved for the first time, {SAMPLED}", lambda f: f["new"], False],
    "ever": [f"solved so far, {SAMPLED}", lambda f: f["ever"], False],
    "kept wrong steps": [
        "kept texts with a wrong step",
        lambda f: f["kept_false_positives"] / max(1, f["kept"]),
        True,
    ],
}


def star_explorer(arm: str = "star", against: str = "control", measure: str = "pass@1"):
    """A widget: what each round of the recorded runs did, and the difference between two arms.

    arm, against: keys of ARMS, the two that are compared; measure: a key of MEASURES. ValueError
    for others.
    """
    for name, value, known in (
        ("arm", arm, ARMS),
        ("against", against, ARMS),
        ("measure", measure, MEASURES),
    ):
        if value not in known:
            raise ValueError(f"no {name} {value!r}: take one of {', '.join(known)}")
    return _Star(arms=_curves(), arm=arm, against=against, measure=measure)


def _curves():
    """arm -> {"title", "values": measure -> round -> one value a seed}; all in the same order."""
    arms = recorded()["arms"]
    # Measured once: the base is round 0 of every arm, and round 1 starts from it in two of them.
    base, first = arms["star"]["0"], arms["star"]["1"]
    curves = {}
    for arm, title in ARMS.items():
        rounds = {"0": base} | ({"1": first} if arm == "continue" else {}) | arms[arm]
        values = {}
        for measure, (_, value, _) in MEASURES.items():
            for number, seeds in rounds.items():
                try:
                    found = [round(value(seeds[seed]), 4) for seed in sorted(seeds)]
                except KeyError:  # the base and the control keep nothing
                    continue
                values.setdefault(measure, {})[number] = found
        curves[arm] = {"title": title, "values": values}
    return curves


class _Star(Explorer):
    arms = traitlets.Dict().tag(sync=True)
    measures = traitlets.Dict().tag(sync=True)  # key -> [title, is it a share?]
    arm = traitlets.Unicode().tag(sync=True)
    against = traitlets.Unicode().tag(sync=True)
    measure = traitlets.Unicode().tag(sync=True)

    def __init__(self, **state):
        measures = {key: [title, share] for key, (title, _, share) in MEASURES.items()}
        super().__init__("star", measures=measures, **state)

    def _still(self):
        two = [self.arms[name] for name in (self.arm, self.against)]
        curves = {arm["title"]: arm["values"].get(self.measure, {}) for arm in two}
        return still.star(curves, *self.measures[self.measure])
