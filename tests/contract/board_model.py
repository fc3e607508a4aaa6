"""The board as its docs tell it, in plain Python: no counters, no index, nothing shared with what is tested."""

from __future__ import annotations

from dataclasses import dataclass, field

OVER = ("done", "cancelled", "archived")
UP = ("todo", "ready")


class No(Exception):
    """The rules forbid it; nothing changed."""


@dataclass
class Card:
    status: str = "ready"
    stage: str = "work"
    came_from: str = ""
    verdict: str = ""
    kind: str = ""
    times: int = 0
    failures: int = 0
    due: int = 0
    lease: int = 0
    fence: int = 0
    runs: list[str] = field(default_factory=list)


class PlainBoard:
    """Cards by number, and links by (parent, child). Each verb returns nothing, or raises ``No``."""

    def __init__(self) -> None:
        self.cards: dict[int, Card] = {}
        self.links: dict[tuple[int, int], str] = {}
        self.now = 0

    # --- what the gates say ------------------------------------------------------------------------------------------

    def says(self, parent: int, child: int) -> str:
        card, gate = self.cards[parent], self.links[parent, child]
        status = card.came_from or card.status
        good = status == "done" and card.verdict != "fail"
        bad = status == "done" and card.verdict == "fail"
        gone = status == "cancelled"
        if gate == "none":
            return "go"
        met, never = {
            "done": (good or bad, gone),
            "passed": (good, bad or gone),
            "failed": (bad or gone, good),
            "ended": (good or bad or gone, False),
        }[gate]
        return "go" if met else "never" if never else "wait"

    def parents_say(self, task: int) -> list[str]:
        return [self.says(parent, child) for parent, child in self.links if child == task]

    def children_over(self, task: int) -> bool:
        return all(self.cards[child].status in OVER for parent, child in self.links if parent == task)

    def waits_for_children(self, task: int) -> bool:
        card = self.cards[task]
        return card.kind == "children" and "blocked" in (card.status, card.came_from)

    def check_waits(self, parent: int, child: int, gate: str) -> None:
        """No two may wait for each other, were both open."""
        if gate != "none" and self.waits_for_children(parent):
            raise No

    def check_parents(self, task: int) -> None:
        for (parent, child), gate in self.links.items():
            if child == task:
                self.check_waits(parent, child, gate)

    def put(self, task: int) -> None:
        """Put a card that nobody is at where its gates let it."""
        card, says = self.cards[task], self.parents_say(task)
        card.status = (
            "review"
            if card.stage == "review"
            else "blocked"
            if "never" in says
            else "todo"
            if "wait" in says
            else "ready"
        )
        if card.status == "blocked":
            card.kind, card.times = "veto", 0

    def settle(self) -> None:
        for task, card in self.cards.items():
            waits = card.status in UP
            ends = card.status == "blocked" and (
                (card.kind == "veto" and "never" not in self.parents_say(task))
                or (card.kind == "children" and self.children_over(task))
            )
            if waits or ends:
                self.put(task)

    # --- verbs -------------------------------------------------------------------------------------------------------

    def create(self, task: int, parents: dict[int, str], due: int, status: str) -> None:
        self.cards[task] = card = Card()
        self.links |= {(parent, task): gate for parent, gate in parents.items()}
        if status == "triage":
            card.status = "triage"
        elif status == "blocked":
            card.status, card.kind, card.times = "blocked", "needs_input", 1
        elif due > self.now:
            card.status, card.due = "scheduled", due
        else:
            self.put(task)

    def link(self, parent: int, child: int, gate: str) -> None:
        above, todo = set(), [parent]
        while todo:
            each = todo.pop()
            above.add(each)
            todo += [up for up, down in self.links if down == each and up not in above]
        if child in above:
            raise No
        if self.cards[child].status not in OVER and self.links.get((parent, child)) != gate:
            self.check_waits(parent, child, gate)
        self.links[parent, child] = gate

    def unlink(self, parent: int, child: int) -> None:
        if self.links.pop((parent, child), None) is None:
            raise No

    def claim(self, task: int, fence: int) -> None:
        card = self.cards[task]
        card.status, card.fence, card.lease = "running", fence, self.now + 1_000
        card.runs.append("")

    def may_claim(self, task: int) -> bool:
        return self.cards[task].status in ("ready", "review")

    def end(self, task: int, fence: int, outcome: str) -> Card:
        card = self.cards[task]
        if card.status != "running" or card.fence != fence or card.lease <= self.now:
            raise No
        card.runs[-1] = outcome
        return card

    def done(self, task: int, fence: int | None, verdict: str) -> None:
        card = self.cards[task]
        if fence is not None:
            self.end(task, fence, "completed")
        elif card.status in (*OVER, "running"):
            raise No
        else:
            card.runs.append("completed")
        card.status, card.verdict, card.failures, card.kind, card.times = "done", verdict, 0, "", 0

    def review(self, task: int, fence: int) -> None:
        card = self.end(task, fence, "review")
        card.status, card.stage, card.failures = "review", "review", 0

    def request_changes(self, task: int) -> None:
        card = self.cards[task]
        if card.status != "review":
            raise No
        card.stage = "work"
        self.put(task)

    def fail(self, task: int, fence: int, outcome: str = "crashed") -> None:
        self.failed(self.end(task, fence, outcome))

    def failed(self, card: Card) -> None:
        card.failures += 1
        if card.failures >= 3:
            card.status, card.times = "blocked", card.times + 1 if card.kind == "failures" else 1
            card.kind = "failures"
        else:
            card.status, card.due = "scheduled", self.now + 500

    def release(self, task: int, fence: int) -> None:
        self.end(task, fence, "released")
        self.put(task)

    def reclaim(self, task: int) -> None:
        card = self.cards[task]
        if card.status != "running":
            raise No
        card.runs[-1] = "reclaimed"
        self.put(task)

    def block(self, task: int, fence: int | None, kind: str) -> None:
        card = self.cards[task]
        if fence is not None:
            if card.status != "running" or card.fence != fence or card.lease <= self.now:
                raise No
        elif card.status in (*OVER, "running", "blocked"):
            raise No
        below = [child for (parent, child), gate in self.links.items() if parent == task and gate != "none"]
        if kind == "children" and any(self.cards[child].status not in OVER for child in below):
            raise No
        if fence is not None:
            self.end(task, fence, "blocked")
        card.times = card.times + 1 if card.kind == kind else 1
        card.kind = kind
        if kind != "children" and card.times >= 2:
            card.status, card.times = "triage", 0
        elif kind == "dependency":
            card.stage = "work"
            self.put(task)
        elif kind == "children" and self.children_over(task):
            self.put(task)
        else:
            card.status = "blocked"

    def unblock(self, task: int) -> None:
        card = self.cards[task]
        if card.status != "blocked" or card.kind == "veto":
            raise No
        card.failures = 0
        self.put(task)

    def cancel(self, task: int) -> None:
        card = self.cards[task]
        if card.status in OVER:
            raise No
        if card.status == "running":
            card.runs[-1] = "cancelled"
        card.status, card.kind, card.times = "cancelled", "", 0

    def reopen(self, task: int) -> None:
        card = self.cards[task]
        if card.status not in ("done", "cancelled"):
            raise No
        self.check_parents(task)
        card.stage, card.verdict, card.failures = "work", "", 0
        self.put(task)

    def archive(self, task: int) -> None:
        card = self.cards[task]
        if card.status in ("running", "archived"):
            raise No
        card.came_from, card.status = card.status, "archived"

    def restore(self, task: int) -> None:
        card = self.cards[task]
        if card.status != "archived":
            raise No
        if card.came_from not in OVER:
            self.check_parents(task)
        card.status, card.came_from = card.came_from, ""

    def schedule(self, task: int, due: int) -> None:
        card = self.cards[task]
        if card.status in (*OVER, "running"):
            raise No
        card.status, card.due = "scheduled", due

    def triage(self, task: int) -> None:
        card = self.cards[task]
        if card.status in (*OVER, "running", "triage"):
            raise No
        card.status = "triage"

    def specify(self, task: int) -> None:
        card = self.cards[task]
        if card.status != "triage":
            raise No
        card.stage = "work"
        self.put(task)

    def sweep(self) -> None:
        for task, card in self.cards.items():
            if card.status == "scheduled" and card.due <= self.now:
                self.put(task)
            elif card.status == "running" and card.lease <= self.now:
                card.runs[-1] = "expired"
                self.failed(card)
