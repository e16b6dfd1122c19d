from nas.reporting.stages import StageChoice, stage_choices, stage_texts
from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.searches import trial_record


def test_stages_are_described_block_by_block_where_they_differ() -> None:
    assert stage_texts(trial_record(2).architecture) == ["C", "A7×2n", "C A7×2n", "A7×2n"]


def test_stages_whose_blocks_differ_are_means() -> None:
    mixed = (Convolution(), Attention(3, 1, "none"), Attention(7, 4, "relative"), Attention(5, 1, "relative"))
    architecture = Architecture("convolution", 8, ((Convolution(),), mixed, mixed[1:2], mixed[2:3]))
    assert stage_choices(architecture) == [
        StageChoice(0.0, None, None, None),
        StageChoice(0.75, 5.0, 2.0, "relative"),
        StageChoice(1.0, 3.0, 1.0, "none"),
        StageChoice(1.0, 7.0, 4.0, "relative"),
    ]
