"""What the doctor saw, as a page of text: each target, where its bytes are, and what is not as it must be."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from holdfast.cli.render import examined, safe, words
from holdfast.cli.render.examined import Section
from holdfast.cli.render.paper import Paper, width
from holdfast.doctor import redacting
from holdfast.doctor.model import Confidence, Finding, Report, Status

ALIKE_MAX = 3
"""Findings of one kind and one target that are shown; the rest is counted."""

_BARS = (5, 5, 3, 3, 2, 1)  # by how many targets there are: a healthy machine is one screen
_LABEL = 10
_INDENT = 4
_LABELS_FROM = 56  # on a narrower terminal what is wrapped begins at the left
_BAR_MAX = 36
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SIGNS = {Status.FAIL: ("✗", "x"), Status.WARN: ("!", "!"), Status.PARTIAL: ("?", "?"), Status.OK: ("✓", "ok")}


def report_lines(report: Report, paper: Paper, *, typed: Sequence[str] = (), verbose: bool = False) -> Iterator[str]:
    """Yield the page. ``typed``: the paths as they were given, to say what to run next; ``verbose``: every finding."""
    found = examined.sections(report)
    took = f"{words.count(len(report.targets), 'place')} in {words.duration(report.duration_ms)}"
    yield from _between(paper, f"{paper.bold}holdfast doctor{paper.plain}", took + (", deep" if report.deep else ""))
    for section in found:
        yield ""
        yield from _section(section, paper, _bars(len(found)), verbose)
    yield ""
    if not report.targets and not report.cut:
        yield from paper.wrapped(
            "Nothing was found to look at: no state of holdfast, no home of Codex or Hermes.", 0, 0
        )
        yield from paper.wrapped("Name one, or a SQLite file: holdfast doctor PATH", 0, 0)
        return
    yield from _end(report, paper, typed)


def _section(section: Section, paper: Paper, bars: int, verbose: bool) -> Iterator[str]:
    good = not section.findings and not section.cut
    sign = _sign(Status.OK if good else _worst(section), paper)
    title = f"{sign} {paper.bold}{section.title}{paper.plain}"
    total = words.size(section.bytes) if section.bytes else ""
    room = paper.drawn - width(section.title) - width(total) - 8 if paper.columns else 10_000
    path = words.tilde(section.path)
    beside = room >= min(width(path), 20)
    yield from _between(paper, title + (f"  {paper.cut(path, room)}" if path and beside else ""), total)
    if path and not beside:
        yield "  " + paper.cut(path, paper.drawn - 2)
    for note in section.target.notes if section.target is not None else ():
        for line in paper.wrapped(note, 2, 2):
            yield f"  {paper.dim}{line}{paper.plain}"
    yield from _picture(section, paper, bars)
    for status, (one, many) in examined.TITLES.items():
        findings = section.with_status(status)
        cuts = section.cut if status is Status.PARTIAL else []
        number = len(findings) + len(cuts)
        if not number:
            continue
        yield ""
        yield f"  {_colour(status, paper)}{number:,} {one if number == 1 else many}{paper.plain}"
        yield from _findings(findings, section, paper, verbose)
        shown = cuts if verbose else cuts[: ALIKE_MAX * 2]
        for cut in shown:
            yield from _hanging(paper, f"  {_sign(status, paper)} ", cut.probe, f"{cut.probe}: {cut.why}")
        if len(cuts) > len(shown):
            yield f"    and {len(cuts) - len(shown):,} more; --verbose shows all"


def _findings(findings: Sequence[Finding], section: Section, paper: Paper, verbose: bool) -> Iterator[str]:
    alike: dict[str, int] = {}
    told: set[tuple[str, str]] = set()
    for finding in findings:
        alike[finding.id] = alike.get(finding.id, 0) + 1
        if verbose or alike[finding.id] <= ALIKE_MAX:
            yield from _finding(finding, section, paper, told)
    for name, number in alike.items():
        if number > ALIKE_MAX and not verbose:
            yield f"    and {number - ALIKE_MAX:,} more of {name}; --verbose shows all"


def _finding(finding: Finding, section: Section, paper: Paper, told: set[tuple[str, str]]) -> Iterator[str]:
    """Yield it; ``told``: what others before it said in the same words, and is not said again."""
    where = examined.shown_path(finding.path, section)
    head = "  ".join(filter(None, (finding.id, finding.row, where)))
    yield from _hanging(paper, f"  {_sign(finding.status, paper)} ", finding.id, head)
    because = finding.cause + ("" if finding.confidence is Confidence.CERTAIN else f" ({finding.confidence})")
    for label, text in (
        ("measured", finding.measured),
        ("expected", finding.expected),
        ("because", because),
        ("do", finding.remedy),
    ):
        if text and (label == "measured" or (label, text) not in told):
            yield from _labelled(paper, label, text)
            told.add((label, text))


def _labelled(paper: Paper, label: str, text: str) -> Iterator[str]:
    hanging = _INDENT + _LABEL if paper.columns is None or paper.columns >= _LABELS_FROM else _INDENT
    first = _INDENT + (_LABEL if hanging > _INDENT else len(label) + 1)
    named = f"{label:<{first - _INDENT}}"
    for number, line in enumerate(paper.wrapped(words.tildes(text), first, hanging)):
        before = f"{' ' * _INDENT}{paper.dim}{named}{paper.plain}" if number == 0 else " " * hanging
        yield before + line


def _hanging(paper: Paper, before: str, name: str, text: str) -> Iterator[str]:
    """Yield ``text`` after ``before``, with ``name``, its first word, in bold."""
    for number, line in enumerate(paper.wrapped(text, _INDENT, _INDENT)):
        if number:
            yield " " * _INDENT + line
        elif line.startswith(name):
            yield f"{before}{paper.bold}{name}{paper.plain}{line[len(name) :]}"
        else:
            yield before + line


def _picture(section: Section, paper: Paper, bars: int) -> Iterator[str]:
    shown = examined.largest(section.parts, bars)
    if not shown or not section.bytes or not bars:
        return
    sizes = [words.size(size) for _, size in shown]
    size_width = max(map(len, sizes))
    name_width = min(max(width(paper.text(name)) for name, _ in shown), max(8, paper.drawn // 3))
    bar_width = min(_BAR_MAX, paper.drawn - name_width - size_width - 6)
    most = max(size for _, size in shown)
    for (name, size), text in zip(shown, sizes, strict=True):
        named = paper.cut(name, name_width)
        line = f"  {named}{' ' * (name_width - width(named))}  {text:>{size_width}}"
        if bar_width >= 4:
            line += f"  {paper.blue}{_bar(size / most, bar_width, paper).rstrip()}{paper.plain}"
        yield line.rstrip()


def _bar(share: float, columns: int, paper: Paper) -> str:
    eighths = max(1, round(share * columns * 8))
    if paper.ascii:
        return "#" * max(1, round(eighths / 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def _end(report: Report, paper: Paper, typed: Sequence[str]) -> Iterator[str]:
    colour = paper.green if report.overall is Status.OK else _colour(report.overall, paper)
    for line in paper.wrapped(f"{examined.counted(report)}.", 0, 0):
        yield f"{colour}{paper.bold}{line}{paper.plain}"
    paths = [shlex.quote(safe.line(redacting.text(path))) for path in typed]
    todo = []
    if any(finding.repair for finding in report.findings):
        todo.append((" ".join(["holdfast doctor --plan plan.json", *paths]), "what would be done; changes nothing"))
    if report.overall is not Status.OK and (report.cut or report.overall is Status.PARTIAL):
        todo.append((" ".join(["holdfast doctor --deep", *paths]), "takes its time for all of it"))
    for number, (command, what) in enumerate(todo):
        for line in paper.wrapped(f"{command}    ({what})" if paper.columns is None else command, 7, 9):
            yield ("Next:  " if number == 0 else "       ") + line


def _between(paper: Paper, left: str, right: str) -> Iterator[str]:
    """Yield a line with ``right`` at the right edge, or below where there is no room. ``left`` may be styled."""
    if paper.columns is None:
        yield left + (f"  ({right})" if right else "")
        return
    styles = (paper.red, paper.yellow, paper.green, paper.blue, paper.bold, paper.dim, paper.plain)
    bare = left
    for style in filter(None, styles):
        bare = bare.replace(style, "")
    gap = min(paper.columns, 100) - width(bare) - width(right)
    if gap >= 2 or not right:
        yield left + (" " * gap + f"{paper.dim}{right}{paper.plain}" if right else "")
    else:
        yield left
        yield f"  {paper.dim}{right}{paper.plain}"


def _bars(targets: int) -> int:
    return _BARS[targets] if targets < len(_BARS) else 0


def _worst(section: Section) -> Status:
    met = {finding.status for finding in section.findings} | ({Status.PARTIAL} if section.cut else set())
    return next(status for status in examined.TITLES if status in met)


def _colour(status: Status, paper: Paper) -> str:
    return {Status.FAIL: paper.red, Status.WARN: paper.yellow, Status.OK: paper.green}.get(status, paper.blue)


def _sign(status: Status, paper: Paper) -> str:
    return f"{_colour(status, paper)}{_SIGNS[status][paper.ascii]}{paper.plain}"
