"""Long work is seen to go on; models of several builds make no tests of each other's."""

from __future__ import annotations

from tfm_harness.parity import small_models

from tests.plugin.conftest import Project

WORKS = """
def test_works(bench):
    show = bench.progress("long work, pieces")
    for done in range(4):
        show(done, 3)
"""
EAGER = "from tfm_harness.plugin import progress\nprogress._FIRST = progress._FILE = 0.0\n"


def test_progress_is_shown_past_pytests_capturing(project: Project) -> None:
    project.append_conftest(EAGER)
    project.test(WORKS)
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"  long work, pieces: {n} of 3" for n in range(4)])
    quiet = project.run("-q")
    assert quiet.ret == 0
    quiet.stdout.fnmatch_lines(["  long work, pieces: 3 of 3"])


def test_short_work_is_not_worth_a_line(project: Project) -> None:
    project.test(WORKS)
    result = project.run()
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*long work*")


def test_a_hook_hears_of_progress(project: Project) -> None:
    project.append_conftest(
        "def pytest_harness_progress(what, done, total):\n"
        "    with open('progress.txt', 'a') as file:\n"
        "        file.write(f'{what} {done}/{total};')\n"
    )
    project.test(WORKS)
    assert project.run().ret == 0
    assert (project.path / "progress.txt").read_text().split(";")[:2] == [
        "long work, pieces 0/3",
        "long work, pieces 1/3",
    ]


def test_each_builds_models_are_tests_of_their_own(project: Project) -> None:
    for name, models in (("one", ("a", "b")), ("two", ("b", "c")), ("none", ())):
        for model in models:
            (project.path / "fw_builds" / name).mkdir(parents=True, exist_ok=True)
            (project.path / "fw_builds" / name / f"{model}.tflite").write_bytes(small_models.dense())
        said = "".join(f"  {model}: {{file: {model}.tflite}}\n" for model in models)
        project.build(name, f"models:\n{said}" if said else "")
    project.test("def test_model(build_model):\n    pass\n")
    result = project.run("--collect-only", "-q", "--tfm-build=one", "--tfm-build=two", "--tfm-build=none", build="")
    found = {line.partition("::")[2] for line in result.stdout.lines if "::" in line}
    assert found == {
        "test_model[bench+one-a]",
        "test_model[bench+one-b]",
        "test_model[bench+two-b]",
        "test_model[bench+two-c]",
        "test_model[bench+none-]",
    }
