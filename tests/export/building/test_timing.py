"""Fair timing; nothing here asserts a speed."""

from export.building.timing import interleave


def test_everything_is_called_equally_often_in_changing_order() -> None:
    """A slow moment of the machine must not hit one candidate only."""
    called: list[str] = []
    samples = interleave({name: (lambda name=name: called.append(name)) for name in "abc"}, rounds=20)
    assert {name: len(values) for name, values in samples.items()} == {"a": 20, "b": 20, "c": 20}
    assert called.count("a") == called.count("b") == called.count("c")
    rounds = [tuple(called[start : start + 6 : 2]) for start in range(0, len(called), 6)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len(set(rounds)) > 3


def test_another_clock_may_count() -> None:
    """Such as one of the work that was done; a sample is what it says between start and end, in milliseconds."""
    seconds = iter(range(1000))
    samples = interleave({"a": lambda: None}, rounds=2, clock=lambda: float(next(seconds)))
    assert samples["a"].tolist() == [1000.0, 1000.0]
