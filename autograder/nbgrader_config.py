"""nbgrader's configuration with this grader in it.

In a course directory's nbgrader_config.py:

    from autograder.nbgrader_config import configure
    c = get_config()
    configure(c)

Then `nbgrader autograde`, formgrader and `autograder grade` give the same scores, and notebooks of
other nbgrader courses are graded by nbgrader's rules in a sandboxed kernel.
"""

from autograder.build import nbgrader_options, use_own_programs


def configure(c) -> None:
    """Put this grader's classes into nbgrader's lists. `c`: the traitlets Config to change."""
    from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
    from nbgrader.preprocessors import (
        AssignLatePenalties,
        CheckCellMetadata,
        GetGrades,
        IgnorePattern,
        LimitOutput,
        SaveAutoGrades,
    )

    from autograder.preprocessors import (
        GradeSubmission,
        HideTests,
        SubmissionExporter,
        refuse_links,
    )

    use_own_programs()
    c.merge(nbgrader_options())
    c.Autograde.exporter_class = SubmissionExporter
    c.Autograde.pre_convert_hook = refuse_links
    # nbgrader's lists with GradeSubmission for what clears, restores and executes.
    c.Autograde.sanitize_preprocessors = [GradeSubmission, CheckCellMetadata]
    c.Autograde.autograde_preprocessors = [
        IgnorePattern,
        ClearMetadataPreprocessor,
        LimitOutput,
        SaveAutoGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    c.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]
