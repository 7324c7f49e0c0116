"""The dashboard's chart."""

from hypothesis import given
from hypothesis import strategies as st

from warmline.ports import Column
from warmline.studio.views.chart import HEIGHT, NARROW, WIDTH, chart


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 1)), min_size=1, max_size=60),
    st.sampled_from([(WIDTH, 10), (NARROW, 4)]),
)
def test_everything_is_inside_and_to_scale(numbers: list[tuple[int, float]], size: tuple[int, int]) -> None:
    width, most_labels = size
    columns = [
        Column(at=n, conversations=count, handed_over=int(count * share)) for n, (count, share) in enumerate(numbers)
    ]
    drawn = chart(columns, [str(n) for n in range(len(columns))], width)
    values = [mark.value for mark in drawn.marks]
    assert values[-1] >= max(column.conversations for column in columns)
    assert 2 <= len(values) <= 7
    for bar in drawn.bars:
        assert 0 <= bar.top <= bar.part_top <= HEIGHT
        assert 0 <= bar.part_height <= bar.height
        assert drawn.left <= bar.x < bar.x + bar.width <= width
    assert 1 <= sum(bool(bar.label) for bar in drawn.bars) <= most_labels
