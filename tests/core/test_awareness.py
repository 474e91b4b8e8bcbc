"""Local health: a score that bad luck raises and answers lower."""

import pytest

from priomon_core.awareness import WORST, Awareness


@pytest.mark.parametrize(
    ("happened", "score"),
    [
        ([], 0),
        ([-1], 0),
        ([1], 1),
        ([3, -1], 2),
        ([1, -1, -1, 1], 1),
        ([5, 5], WORST),
        ([5, 5, -1], WORST - 1),
    ],
)
def test_the_score_follows_what_happens(happened: list[int], score: int) -> None:
    awareness = Awareness()
    for what in happened:
        if what < 0:
            awareness.improve()
        else:
            awareness.worsen(what)
    assert awareness.score == score
    assert awareness.scale(500) == 500 * (score + 1)
