import subprocess
import sys

import pytest

import course_lib


def test_import_is_fast_and_does_not_load_torch():
    code = (
        "import sys, time; t = time.perf_counter(); import course_lib; "
        "print(time.perf_counter() - t, 'torch' in sys.modules, 'IPython' in sys.modules)"
    )
    runs = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds, torch_loaded, ipython_loaded = done.stdout.split()
        assert (torch_loaded, ipython_loaded) == ("False", "False")
        runs.append(float(seconds))
    assert min(runs) < 0.3


def test_check_hint_and_configs_do_not_load_torch():
    code = "import sys; from course_lib import check, hint, ModelConfig, REAL_CONFIGS; "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", course_lib.__all__)
def test_every_public_name_exists(name):
    assert getattr(course_lib, name) is not None
    assert name in dir(course_lib)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = course_lib.nonsense
