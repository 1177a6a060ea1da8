"""Scores of joined tracks against literal counts."""

from itertools import permutations

import numpy as np
import pytest

from benchmarks.measuring.joining import JoiningScores, score_joining


def score_literally(names: list[int], people: list[int]) -> JoiningScores:
    """By nested loops over tracks, and for IDF1 over every way to give names to people."""
    tracks = range(len(names))
    numbers, persons = sorted(set(names)), sorted(set(people))
    padded = numbers + [-1 - one for one in range(len(persons))]
    right = max(
        sum(names[track] == owner[persons.index(people[track])] for track in tracks)
        for owner in permutations(padded, len(persons))
    )
    overlaps, recalls = [], []
    for one in tracks:
        same_name = {other for other in tracks if names[other] == names[one]}
        same_person = {other for other in tracks if people[other] == people[one]}
        overlaps.append(len(same_name & same_person) / len(same_name | same_person))
        recalls.append(len(same_name & same_person) / len(same_person))
    false = 0
    for name in numbers:
        owners = [people[track] for track in tracks if names[track] == name]
        false += len(owners) - max(owners.count(person) for person in persons)
    per_person = [len({names[track] for track in tracks if people[track] == person}) for person in persons]
    count = len(names)
    return JoiningScores(
        right / count, sum(overlaps) / count, sum(recalls) / count, 1000 * false / count, float(np.mean(per_person))
    )


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_those_of_literal_counts(seed: int) -> None:
    """IDF1, AssA, recall, false joins and names per person, for random names of random people."""
    rng = np.random.default_rng(seed)
    people = rng.integers(0, 4, 15)
    names = np.where(rng.random(15) < 0.6, people, rng.integers(0, 5, 15))
    expected = score_literally(names.tolist(), people.tolist())
    assert vars(score_joining(names, people)) == pytest.approx(vars(expected))


def test_the_truth_scores_one() -> None:
    """Whatever the names are."""
    people = np.array([3, 3, 1, 2, 1])
    assert score_joining(people + 7, people) == JoiningScores(1.0, 1.0, 1.0, 0.0, 1.0)
