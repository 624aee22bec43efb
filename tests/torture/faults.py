"""The faults themselves: each begins something, says when it ends, and what errors it excuses.

Each takes the striker and the fault, and returns `False` where its target is not free.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from .fleet import Member
from .plan import Fault
from .tally import Takeover

if TYPE_CHECKING:
    from .strike import Striker

STORM_EVERY = 2.0
SUCCESSION = 0.5  # seconds until a stopped member is succeeded
WAKING = 60.0  # seconds in which a member that wakes up must notice that it is fenced
LOOK = 0.5  # seconds between two looks whether it has
AWAY = 180.0  # seconds in which a broker is back, and members have said that it was not
HOLDING = 2.0  # seconds until a request comes that can be held
SLOW = 0.3  # seconds by which replies are late
# What members say, after 15 s, that start while there is no broker, or whose broker goes away as they ask it.
UNANSWERED = ("no broker could be reached", "could not be read: OperationTimedOut")
REFUSED = "refused a record: Invalid"


def kill(striker: Striker, _: Fault) -> bool:
    """SIGKILL."""
    if member := striker.member():
        member.ending = True
        member.worker.kill()
    return member is not None


def term(striker: Striker, _: Fault) -> bool:
    """SIGTERM: a clean end."""
    if member := striker.member():
        member.ending = True
        member.send(signal.SIGTERM)
    return member is not None


def crash(striker: Striker, fault: Fault) -> bool:
    """A member is replaced by one that ends itself at a crash point."""
    return arm(striker, fault)


def panic(striker: Striker, fault: Fault) -> bool:
    """A member is replaced by one that panics: its run must end with that error."""
    return arm(striker, fault)


def arm(striker: Striker, fault: Fault) -> bool:
    """End a member; its successor will do something to itself."""
    end = term if striker.random.random() < 0.5 else kill
    if not end(striker, fault):
        return False
    striker.note(end.__name__)
    striker.armed.append(f"{fault.kind}:{fault.argument}")
    return True


def stop(striker: Striker, fault: Fault) -> bool:
    """SIGSTOP for less than a session."""
    if member := striker.member():
        halt(striker, member, fault.length)
    return member is not None


def halt(striker: Striker, member: Member, seconds: float) -> None:
    """Stop a process for a while."""
    member.stopped_at = time.monotonic()
    member.send(signal.SIGSTOP)

    def resume() -> None:
        member.stopped_at = 0.0
        member.send(signal.SIGCONT)

    striker.after(seconds, resume)


def zombie(striker: Striker, fault: Fault) -> bool:
    """SIGSTOP for longer than a session: others take over, then it wakes up."""
    if striker.away or not (member := striker.member()):
        return False
    halt(striker, member, fault.length)
    mark(striker, member, fault)
    if striker.fleet.shape.static and fault.argument != "alone":
        succeed(striker, member, fault.length + WAKING)
    return True


def mark(striker: Striker, member: Member, fault: Fault) -> None:
    """Note where the sinks end, behind which nothing of a stopped member may come once others go on."""
    moment = member.stopped_at
    try:
        ends = {sink: striker.kafka.ends(sink) for sink in striker.fleet.sinks}
        striker.takeovers.append(Takeover(member.name, moment, ends))
    except (KafkaError, OSError, TimeoutError):
        striker.left_out.append(f"the mark of {fault.told}")


def succeed(striker: Striker, member: Member, seconds: float) -> None:
    """Start a successor of the same name: one of the two is fenced, and must end within so long.

    Mostly it is the old one; but where it joins anew when it wakes up, it takes its name back.
    """
    slot = striker.fleet.slot(member)

    def start() -> None:
        successor = striker.fill(slot)
        both = (member, successor)
        for one in both:
            one.excused.append("FencedError")

        until = time.monotonic() + seconds

        def fenced() -> None:
            if not all(one.worker.running and not one.ending for one in both):
                return
            if time.monotonic() < until:
                striker.after(LOOK, fenced)
            else:
                striker.find("fencing", f"{member.name} and {successor.name} both go on under one name")

        striker.after(LOOK, fenced)

    striker.after(SUCCESSION, start)


def late_commit(striker: Striker, fault: Fault) -> bool:
    """A member is stopped with a commit under way, which arrives after others have taken over."""
    if striker.away:
        return False
    before = len(striker.network.held)
    striker.network.hold("commit", fault.length)
    patience = time.monotonic() + fault.length

    def stop_it() -> None:
        held = striker.network.held[before:]
        member = next((m for m in striker.fleet.slots.values() if m.name in held), None)
        if member and member.worker.running and not member.stopped_at:
            halt(striker, member, fault.length)
            mark(striker, member, fault)
            striker.note("late_commit")
        elif not held and time.monotonic() < patience:
            striker.after(0.0, stop_it)

    striker.after(0.0, stop_it)
    return True


def hold(striker: Striker, fault: Fault) -> bool:
    """A request of a transaction is under way for longer than the transaction may last."""
    striker.network.hold(fault.argument, fault.length)
    striker.after(fault.length + HOLDING, lambda: None)  # the run lasts until its effect is there
    return True


def slow_model(striker: Striker, _: Fault) -> bool:
    """The next call of a model sleeps for longer than a session."""
    member = striker.member()
    if member is None or not member.worker.metrics:
        return False
    member.send(signal.SIGUSR1)
    return True


def storm(striker: Striker, fault: Fault) -> bool:
    """A member more joins and leaves every two seconds."""
    if striker.away:
        return False
    slot = striker.extra_slot()

    def join() -> None:
        if slot not in striker.fleet.slots or not striker.fleet.slots[slot].worker.running:
            striker.fill(slot)
            striker.note("join")

    def leave() -> None:
        member = striker.fleet.slots.get(slot)
        if member and member.worker.running and not member.stopped_at:
            member.ending = True
            member.send(signal.SIGTERM)
            striker.note("leave")

    at = 0.0
    while at < fault.length:
        striker.after(at, join)
        striker.after(at + 0.9 * STORM_EVERY, leave)
        at += STORM_EVERY
    striker.after(at + STORM_EVERY, leave)
    return True


def broker_kill(striker: Striker, _: Fault) -> bool:
    """SIGKILL of the broker; it comes back on its data."""
    if striker.away:
        return False
    striker.away = True
    for text in UNANSWERED:
        striker.excuse(text, AWAY)
    striker.broker.kill()

    def restart() -> None:
        striker.broker.restart()
        striker.away = False

    # Beside the other faults: the next life of a broker takes seconds to begin.
    threading.Thread(target=restart, name="restart", daemon=True).start()
    return True


def broker_stop(striker: Striker, fault: Fault) -> bool:
    """SIGSTOP of the broker."""
    if striker.away:
        return False
    striker.away = True
    os.kill(striker.broker.pid, signal.SIGSTOP)

    def resume() -> None:
        os.kill(striker.broker.pid, signal.SIGCONT)
        striker.away = False

    striker.after(fault.length, resume)
    return True


def delay(striker: Striker, fault: Fault) -> bool:
    """All replies of the broker are late."""
    striker.network.tell(delay=SLOW, seconds=fault.length)
    return True


def cut_request(striker: Striker, _: Fault) -> bool:
    """Two connections end in the middle of a request."""
    striker.network.tell(cut="request", count=2)
    return True


def cut_reply(striker: Striker, _: Fault) -> bool:
    """Two connections end in the middle of a reply."""
    striker.network.tell(cut="reply", count=2)
    return True


def swallow_commit(striker: Striker, _: Fault) -> bool:
    """The reply to the next EndTxn gets lost."""
    striker.network.swallow("commit")
    return True


def swallow_offsets(striker: Striker, _: Fault) -> bool:
    """The reply to the next TxnOffsetCommit gets lost."""
    striker.network.swallow("offsets")
    return True


def refuse_time(striker: Striker, fault: Fault) -> bool:
    """A sink takes no record as old as results are: members end with an error that says so."""
    return refuse(striker, fault, REFUSED, message_timestamp_before_max_ms="3600000")


def refuse_replicas(striker: Striker, fault: Fault) -> bool:
    """A sink asks for more replicas than there are: members wait."""
    return refuse(striker, fault, "", min_insync_replicas="2")


def refuse(striker: Striker, fault: Fault, error: str, **config: str) -> bool:
    """A sink takes nothing for a while."""
    if striker.away:
        return False
    sink = striker.random.choice(striker.fleet.sinks)
    striker.away = True  # no other fault of the broker meanwhile
    striker.kafka.configure(sink, **config)
    if error:
        striker.excuse(error)

    def restore() -> None:
        striker.kafka.configure(sink)
        striker.away = False

    striker.after(fault.length, restore)
    return True


FAULTS: dict[str, Callable[[Striker, Fault], bool]] = {
    fault.__name__: fault
    for fault in (
        kill,
        term,
        crash,
        panic,
        stop,
        zombie,
        late_commit,
        hold,
        slow_model,
        storm,
        broker_kill,
        broker_stop,
        delay,
        cut_request,
        cut_reply,
        swallow_commit,
        swallow_offsets,
        refuse_time,
        refuse_replicas,
    )
}
