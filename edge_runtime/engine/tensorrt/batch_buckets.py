"""The batch sizes that an engine is tuned for and that runs are recorded for; other batches are padded to the next."""


def batch_buckets(*, smallest: int, best: int, largest: int) -> tuple[int, ...]:
    """Powers of two, both limits of the engine, and the size that matters most; ascending.

    Any batch from the smallest to the largest is padded to less than twice its size. An engine has one optimization
    profile for each: with one for all, a single crop would run by the tactics of a batch of eight.
    """
    powers = (1 << exponent for exponent in range(largest.bit_length()))
    return tuple(sorted({smallest, best, largest, *(size for size in powers if smallest < size < largest)}))
