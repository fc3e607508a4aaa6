"""What the doctor saw as one page of HTML that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from holdfast.cli.render import examined, safe, words
from holdfast.cli.render.examined import Section
from holdfast.doctor.model import Confidence, Finding, Report

BEGINS = "<!doctype html>\n<!-- holdfast doctor -->\n"
"""How a page of ours begins; only such a file is ever replaced."""

_BARS = 8
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --line: #d9dde2; --soft: #5c6570; --card: #f6f7f9;
  --fail: #b3261e; --warn: #8a5a00; --partial: #2a5fb0; --ok: #1d7a3c; --bar: #4a7fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --line: #343a42; --soft: #9aa4b0;
  --card: #1d2127; --fail: #ff8a80; --warn: #f0c060; --partial: #8ab4f8; --ok: #6fd08c; --bar: #5b8fe0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 60rem; padding: 2rem 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; } p { margin: .25rem 0; } .soft { color: var(--soft); }
.fail { color: var(--fail); } .warn { color: var(--warn); }
.partial { color: var(--partial); } .ok { color: var(--ok); }
article { background: var(--card); border: 1px solid var(--line); border-left: 4px solid currentColor;
  border-radius: 4px; margin: .75rem 0; padding: .6rem .9rem; } article > * { color: var(--ink); }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .1rem .75rem; margin: .4rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } details { margin-top: .4rem; color: var(--soft); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; margin: .25rem 0; }
table { border-collapse: collapse; width: 100%; } td { padding: .1rem .5rem .1rem 0; }
td.size { text-align: right; white-space: nowrap; } td.bar { width: 50%; }
td.bar i { display: block; height: .8rem; background: var(--bar); border-radius: 2px; min-width: 2px; }
"""


def page(report: Report) -> str:
    """Return the page."""
    return BEGINS + "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>holdfast doctor: {_text(examined.counted(report))}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1 class="{report.overall}">{_text(examined.counted(report))}.</h1>'
    deep = ", every page of every database" if report.deep else ""
    yield (
        f'<p class="soft">holdfast doctor, {words.utc(report.started_ms)}: '
        f"{words.count(len(report.targets), 'place')} in {words.duration(report.duration_ms)}{deep}.</p>"
    )
    for section in examined.sections(report):
        yield from _section(section)
    yield "</body></html>"


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{_text(section.title)} <span class=soft>{_text(section.path)}</span></h2>"
    for note in section.target.notes if section.target is not None else ():
        yield f"<p>{_text(note)}</p>"
    if not section.findings and not section.cut:
        yield '<p class="ok">Nothing is wrong.</p>'
    yield from _picture(section)
    for finding in section.findings:
        yield from _finding(finding, section)
    for cut in section.cut:
        yield f'<article class="partial"><h3>{_text(cut.probe)} <span class=soft>{_text(cut.path)}</span></h3>'
        yield f"<p>Could not be looked at: {_text(cut.why)}.</p></article>"


def _picture(section: Section) -> Iterator[str]:
    shown = examined.largest(section.parts, _BARS)
    if not shown:
        return
    most = max(size for _, size in shown) or 1
    yield "<table>"
    for name, size in shown:
        share = f"{size * 100 / most:.1f}%"
        yield f'<tr><td>{_text(name)}</td><td class="size">{words.size(size)}</td>'
        yield f'<td class="bar"><i style="width:{share}"></i></td></tr>'
    yield "</table>"


def _finding(finding: Finding, section: Section) -> Iterator[str]:
    where = examined.shown_path(finding.path, section)
    yield f'<article class="{finding.status}"><h3><b class="{finding.status}">'
    yield f"{_text(finding.id)}</b> {_text(finding.row)} <span class=soft>{_text(where)}</span></h3><dl>"
    sure = "" if finding.confidence is Confidence.CERTAIN else f" ({finding.confidence})"
    for label, text in (
        ("Measured", finding.measured),
        ("Expected", finding.expected),
        ("Because", finding.cause + sure),
        ("Do", finding.remedy),
    ):
        yield f"<dt>{label}</dt><dd>{_sentence(text)}</dd>"
    yield "</dl>"
    if finding.details:
        import json

        yield "<details><summary>Figures</summary><pre>"
        yield escape(safe.block(json.dumps(finding.details, indent=1, ensure_ascii=False)))
        yield "</pre></details>"
    yield "</article>"


def _sentence(given: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", _text(given))


def _text(given: str) -> str:
    return escape(safe.line(given))
