"""How long to rest after a failure. Pure."""

from __future__ import annotations

import hashlib


def backoff_ms(first_ms: int, most_ms: int, failures: int, name: str) -> int:
    """Return the rest after the ``failures``-th failure in a row: ``first_ms``, doubled each time, up to ``most_ms``.

    Spread over the upper half of that time by ``name``, so that a thousand
    that failed together come back apart. Not drawn: the same failure always
    rests equally long, which can be tested and explained; and never near 0, as
    full jitter may, which would let poison come back at once.
    """
    rest_ms = min(most_ms, first_ms << min(max(failures - 1, 0), 40))
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=4).digest()
    return rest_ms - (rest_ms // 2 * int.from_bytes(digest)) // (1 << 32)
