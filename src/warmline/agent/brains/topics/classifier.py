"""Kernel logistic regression over lexical similarity, in numpy (measurements.md §D.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmline.agent.brains.topics.features import Floats, Ints, Sparse

_STEPS = 150


def similarities(rows: Sparse, size: int) -> Floats:
    """Give the cosine of every row with every other, as a square matrix; `size` is the number of columns."""
    count = len(rows.starts) - 1
    kernel = np.zeros((count, count), dtype=np.float32)
    order = np.argsort(rows.columns, kind="stable")
    owners = np.repeat(np.arange(count, dtype=np.int32), np.diff(rows.starts))[order]
    weights = rows.weights[order]
    bounds = np.searchsorted(rows.columns[order], np.arange(size + 1))
    for index in range(count):
        columns, own = rows.row(index)
        spans = [slice(bounds[column], bounds[column + 1]) for column in columns]
        if spans:
            others = np.concatenate([owners[span] for span in spans])
            products = np.concatenate([weights[span] * weight for span, weight in zip(spans, own, strict=True)])
            kernel[index] = np.bincount(others, products, minlength=count)
    return kernel


def fit(kernel: Floats, labels: Ints, classes: int, freedom: float) -> Floats:
    """Fit multinomial logistic regression in the space of `kernel` by accelerated gradient.

    Args:
        kernel: similarities of the examples, n × n.
        labels: the class of each example, 0 to `classes` - 1.
        freedom: how far the weights may go to suit the examples (C, the inverse of the penalty on their squares).

    Returns:
        The weight of each example for each class, n × classes: `k(query) @ weights` are the class scores.
    """
    count = len(labels)
    wanted = np.zeros((count, classes), dtype=np.float32)
    wanted[np.arange(count), labels] = 1
    step = np.float32(1 / (_largest_eigenvalue(kernel) / 2 + 1 / freedom))
    weights: NDArray[Any] = np.zeros_like(wanted)
    ahead: NDArray[Any] = weights
    speed = 1.0
    for _ in range(_STEPS):
        gradient: NDArray[Any] = softmax(kernel @ ahead) - wanted + ahead / np.float32(freedom)
        following: NDArray[Any] = ahead - step * gradient
        next_speed = (1 + (1 + 4 * speed * speed) ** 0.5) / 2
        ahead = following + np.float32((speed - 1) / next_speed) * (following - weights)
        weights, speed = following, next_speed
    return weights


def softmax(scores: Floats) -> Floats:
    """Turn class scores into probabilities, along the last axis."""
    shifted: NDArray[Any] = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def collapse(rows: Sparse, weights: Floats, size: int) -> Floats:
    """Give the class weights of each column, `size` × classes, that score like `weights` of the examples."""
    classes = weights.shape[1]
    owners = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
    columns = np.zeros((size, classes), dtype=np.float32)
    for label in range(classes):
        columns[:, label] = np.bincount(rows.columns, rows.weights * weights[owners, label], minlength=size)
    return columns


def _largest_eigenvalue(kernel: Floats) -> float:
    vector: NDArray[Any] = np.ones(len(kernel), dtype=np.float32)
    value = 1.0
    for _ in range(20):
        image = kernel @ vector
        value = float(np.linalg.norm(image)) or 1.0
        vector = image / np.float32(value)
    return value
