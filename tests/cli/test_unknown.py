"""Words that no command knows: the command's own usage, the nearest word, and where pytest's options go."""

from __future__ import annotations

import pytest
from tfm_harness.cli.main import COMMANDS, main


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run --quik", "tfm-harness run: error: unrecognized arguments: --quik; did you mean --quick?"),
        ("run results --polcy=dev", "did you mean --policy?"),
        ("run results -k nonce", "pytest's own options stand behind --: tfm-harness run ... -- -k nonce"),
        ("history summary --sinse yesterday", "did you mean --since?"),
        ("targets --zzz", "tfm-harness targets: error: unrecognized arguments: --zzz\n"),
        ("chek targets/x.yaml", "tfm-harness: error: no command is called 'chek'; did you mean 'check'?\n"),
        ("zzzzzz", "no command is called 'zzzzzz'; there are: run, check, "),
    ],
)
def test_a_word_that_is_not_known(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    word = line.split(maxsplit=1)[0]
    assert told.startswith(f"usage: tfm-harness {word if word in COMMANDS else '[-h]'}")
