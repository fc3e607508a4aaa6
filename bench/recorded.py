"""Numbers of the real Codex 0.169.0 recorded in November 2026, for a run in which it cannot be had.

From our report on it (8 runs at 10,000 rollouts, 6 at 50,000, on a shared 2-core
machine). Never mixed with measured ones: a row that uses them says "recorded".
"""

from __future__ import annotations

VERSION = "0.169.0"
LABEL = "recorded, not this run"

# rollouts -> what
COLD = {
    10_000: {"initialize_s": 14.5, "cpu_s": 13.0, "written_bytes": 1.20e9, "peak_bytes": 114e6},
    50_000: {"initialize_s": 107.5, "cpu_s": 81.8, "written_bytes": 6.28e9, "peak_bytes": 123e6},
}
WARM_INITIALIZE_S = {10_000: 0.14, 50_000: 0.23}

# rollouts -> (question, mode) -> (p50, p99) in ms; "scan" is the default, "db" is useStateDbOnly.
# The deep pages were taken in created order; where only p50 was recorded it stands twice.
LATENCY_MS = {
    10_000: {
        ("created order", "scan"): (17.5, 21.7),
        ("created order", "db"): (4.0, 9.3),
        ("first page", "scan"): (71, 102),
        ("first page", "db"): (4.0, 5.9),
        ("deep 50 %", "scan"): (64, 64),
        ("deep 50 %", "db"): (4.9, 4.9),
        ("deep 95 %", "scan"): (62, 62),
        ("deep 95 %", "db"): (4.2, 4.2),
        ("cwd", "scan"): (74, 108),
        ("cwd", "db"): (4.1, 5.4),
        ("provider", "scan"): (119, 170),
        ("provider", "db"): (4.6, 12.3),
        ("source", "scan"): (215, 347),
        ("source", "db"): (48, 65),
        ("search common", "scan"): (2598, 2959),
        ("search common", "db"): (5.0, 9.7),
        ("search rare", "scan"): (2595, 2864),
        ("search rare", "db"): (20, 25),
        ("search none", "scan"): (2211, 2455),
        ("search none", "db"): (16, 18),
        ("text common", ""): (420, 420),
        ("text rare", ""): (764, 764),
        ("read with turns", ""): (2.7, 9.4),
        ("read biggest", ""): (3.4, 75),
    },
    50_000: {
        ("created order", "scan"): (25.1, 43.8),
        ("created order", "db"): (5.3, 9.5),
        ("text common", ""): (2445, 2445),
        ("text rare", ""): (2899, 2899),
        ("read with turns", ""): (5.7, 16.7),
        ("read biggest", ""): (3.4, 70),
    },
}
